"""The lab's zone at a provider: provision makes its names, verbs move them, certificates are ordered past it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from infra.contract import Contract, Role
from tests.fleet.answers import ASKED_OUTSIDE
from tests.fleet.conftest import STACK, container, inside, till
from tests.fleet.database import home, until, well_told
from tests.policy import POLICY
from tests.provider_zone import FOREIGN, Provider, running
from till.progress import Progress
from till.public_dns.zone import edges, service_names
from till.stacks import stack
from till.verbs import recovery
from till.verbs import stack as stack_verbs

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.timeout(1200)]
TAGS = "nameserver"
# What resolvers remember, and what a busy machine adds.
RESOLVED_WITHIN_S = POLICY["policy_provider_record_ttl_s"] + 45
PUBLIC = "/etc/till/certificates/public.pem"


def gateway() -> str:
    """This machine's address in the lab's network."""
    template = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
    told = subprocess.run(
        ["docker", "inspect", "--format", template, container("outside")], capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def delegate(server: Provider, lab: Contract) -> None:
    """What a person makes once at a provider, and the lab's world outside, which has its names in this zone."""
    for host in lab.hosts:
        if Role.NAMESERVER in host.roles:
            server.add(f"{host.name}.{lab.names.zone}", "A", host.address)
            for name in service_names(lab):
                server.add(f"_acme-challenge.{name}", "NS", f"{host.name}.{lab.names.zone}.")
    assert lab.outside
    for name in (lab.outside.paypal_name, lab.outside.acme_name):
        server.add(name, "A", lab.outside.host.address)


@pytest.fixture(scope="module")
def server(lab: Contract, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The provider, which the resolver outside asks instead of the stack's nameservers."""
    home(lab)
    # Somebody else's IPv6 address at the shop's name would lead clients astray, and be a fault.
    foreign = {key: content for key, content in FOREIGN.items() if key[1] != "AAAA"}
    with running(tmp_path_factory.mktemp("provider"), gateway(), foreign) as server:
        delegate(server, lab)
        try:
            inside(
                "outside",
                f"sed -i -E 's/^( +stub-addr:) .*/\\1 {server.address}/' /etc/unbound/unbound.conf"
                " && systemctl restart unbound.service",
            )
            yield server
        finally:
            code, told, messages = till("provision", STACK, "--tags", "resolver")
            assert code == 0, (told, messages[-2000:])
            home(lab)


# As this process tells, which alone knows of the provider.
told_here = partial(stack_verbs.state, STACK)


@pytest.fixture
def provided(lab: Contract, server: Provider, monkeypatch: pytest.MonkeyPatch) -> Contract:
    """The contract as it would be with till:dnsProvider set; every verb of this process reads it."""
    contract = lab.model_copy(update={"dns_provider": server.by("ddns")})
    monkeypatch.setattr(stack, "contract", lambda _name: contract)
    return contract


def answered(server: Provider, contract: Contract) -> set[tuple[str, ...]]:
    return {tuple(server.answer(name)[0]) for name in service_names(contract)}


def leads_outside(contract: Contract, site: str) -> bool:
    """Whether a client outside gets the site's edges from its caching resolver now."""
    program = ASKED_OUTSIDE.replace("while True:", "for _ in range(1):").replace("time.sleep(float(sys.argv[2]))", "")
    told = inside("outside", f"python3 -c '{program}' {contract.names.shop}").split()[1:]
    return told == list(edges(contract, site))


def test_provision_makes_the_names_once_and_tells_what_it_would_change(provided: Contract, server: Provider) -> None:
    would = stack_verbs.provision(STACK, Progress(), check=True, tags=TAGS)
    assert answered(server, provided) == {()}
    made = stack_verbs.provision(STACK, Progress(), tags=TAGS)
    assert made["names"] == would["names"]
    assert made["names"]["site"] == "alpha" and len(made["names"]["changes"]) == 3
    assert answered(server, provided) == {edges(provided, "alpha")}
    again = stack_verbs.provision(STACK, Progress(), tags=TAGS)
    assert (again["changed"], again["names"]) == (0, {"site": "alpha", "changes": []})
    told = well_told(90, told_here)
    assert told["dns"]["nameservers"] == {server.address: {"addresses": list(edges(provided, "alpha"))}}


def test_certificates_are_ordered_through_the_delegation(provided: Contract, server: Provider) -> None:
    inside("alpha", f"mv {PUBLIC} {PUBLIC}.kept")
    try:
        assert "issued" in inside("alpha", "/opt/till-host/current/bin/certificate renew 2>&1")
    finally:
        inside("alpha", f"test -e {PUBLIC} || mv {PUBLIC}.kept {PUBLIC}; rm -f {PUBLIC}.kept")
    assert "good" in inside("alpha", "/opt/till-host/current/bin/certificate served 10")


def test_names_move_with_the_leader_and_back(provided: Contract, server: Provider) -> None:
    for verb, site in (("failover", "bravo"), ("failback", "alpha")):
        began = time.monotonic()
        moved = recovery.move_leader(STACK, verb, site if verb == "failover" else "", "", False, Progress())
        assert moved["changed"] and moved["to_site"] == site and moved["order"]["payment_status"] == "completed"
        assert answered(server, provided) == {edges(provided, site)}
        followed = partial(leads_outside, provided, site)
        until("the resolver did not follow", followed, RESOLVED_WITHIN_S)
        print(
            f"{verb}: promoted_s {moved['promoted_s']}, dns_switch_s {moved['dns_switch_s']}, rto_s {moved['rto_s']};"
            f" a caching resolver {time.monotonic() - began:.1f} s after the verb's start"
        )
        well_told(120, told_here)


def test_names_that_a_leader_left_behind_are_a_fault_until_the_verb_moves_them(
    provided: Contract, server: Provider
) -> None:
    # That process reads the contract without a provider, as Patroni's own election knows of none.
    code, told, messages = till("failover", STACK, "--to", "bravo")
    assert code == 0, (told, messages[-2000:])

    def alone() -> dict[str, Any] | None:
        state = stack_verbs.state(STACK)
        return state if len(state["faults"]) == 1 else None

    told = until("members are not well", alone, 120)
    assert not told["ok"] and "till failover lab --to bravo moves the names" in told["faults"][0]
    assert answered(server, provided) == {edges(provided, "alpha")}
    moved = recovery.move_leader(STACK, "failover", "bravo", "", False, Progress())
    assert moved["changed"] and (moved["from_site"], moved["to_site"]) == ("bravo", "bravo")
    assert answered(server, provided) == {edges(provided, "bravo")}
    print(f"names alone: dns_switch_s {moved['dns_switch_s']}, rto_s {moved['rto_s']}")
    well_told(90, told_here)
    assert recovery.move_leader(STACK, "failover", "bravo", "", False, Progress())["changed"] is False

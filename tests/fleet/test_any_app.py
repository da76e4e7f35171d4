"""Till deploys any app: a program in Go takes the storefront's place, and hosts start nothing that is not signed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from infra.contract import Contract, Role
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.variants import BUILT as STOREFRONT
from till.observe import probe
from till.paths import CHECKOUT, STATE

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("unwatched"), pytest.mark.timeout(1800)]
CLOCK = CHECKOUT / "services" / "clock"
KEY = "/etc/till/release-key.pem"


@pytest.fixture(scope="module")
def version(lab: Contract) -> Iterator[str]:
    """A release of the clock; afterwards the storefront serves, whatever the tests did."""
    name = f"v2.0.{time.time_ns() % 10**9}-clock"
    code, told, messages = till("release", "build", STACK, "--version", name, "--source", str(CLOCK))
    assert code == 0, messages[-3000:]
    assert (told["name"], list(told["built_with"]), told["smoke"]) == ("clock", ["go"], "none")
    try:
        yield name
    finally:
        code, told, messages = till("deploy", STACK, STOREFRONT, "--bake-s", "0")
        assert code == 0, (told, messages[-3000:])
        assert served(lab, probe.VERSION_PATH) == {STOREFRONT}


def served(lab: Contract, path: str) -> set[str | None]:
    return set(probe.served_versions(lab, probe.public_trust(lab), path).values())


def app_hosts(lab: Contract) -> list[str]:
    return [host.name for host in lab.hosts if Role.APP in host.roles]


@pytest.mark.matrix
def test_a_changed_release_does_not_leave_this_machine(lab: Contract, version: str) -> None:
    manifest = STATE / "releases" / STACK / version / "manifest.json"
    signed = manifest.read_text()
    manifest.write_text(signed.replace("./clock", "./clock "))
    try:
        code, told, _ = till("deploy", STACK, version)
    finally:
        manifest.write_text(signed)
    assert (code, told["next"][:5]) == (3, "rm -r"), told
    assert f"the key of stack {STACK} did not sign it" in told["error"]
    assert served(lab, probe.VERSION_PATH) == {STOREFRONT}


@pytest.mark.matrix
def test_a_host_starts_nothing_that_its_key_did_not_sign(lab: Contract, version: str) -> None:
    """Hosts check by themselves: here one knows another key than the stack's."""
    name = app_hosts(lab)[-1]
    inside(name, f"cp -p {KEY} {KEY}.kept && openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out {KEY}")
    try:
        code, told, _ = till("deploy", STACK, version)
    finally:
        inside(name, f"mv {KEY}.kept {KEY}")
    assert code == 3, told
    assert f"{name}: " in told["error"] and f"is not signed by the key in {KEY}" in told["error"]
    assert inside(name, f"ls -d /srv/till/releases/{version} 2>/dev/null || true") == ""
    assert served(lab, probe.VERSION_PATH) == {STOREFRONT}


def test_an_app_in_another_language_takes_the_storefronts_place(lab: Contract, version: str) -> None:
    # Also after both faults above: the same release goes, since the cause is mended.
    code, told, messages = till("deploy", STACK, version)
    assert code == 0, (told, messages[-3000:])
    assert (told["old_version"], told["new_version"], told["verdict"]) == (STOREFRONT, version, "pass")
    assert served(lab, "/version") == {version}
    trust = probe.public_trust(lab)
    edges = [host for host in lab.hosts if Role.EDGE in host.roles]
    assert len(edges) == 2
    for edge in edges:
        with probe.Site(lab.names.shop, edge.address, trust) as site:
            assert site.ask("GET", "/").json()["time"]
            # Nothing of the storefront answers.
            assert site.ask("GET", "/api/version").status_code == 404
    for name in app_hosts(lab):
        slot = json.loads(inside(name, "cat /var/lib/till/slots.json"))["active"]
        running = inside(name, f"readlink /proc/$(systemctl show -P MainPID app@{slot}.service)/exe")
        assert running.strip() == f"/srv/till/releases/{version}/clock"

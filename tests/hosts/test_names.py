"""The nameservers: what each answers, that each looks at the sites itself, and that nobody has to ask it first."""

from __future__ import annotations

import json
import time

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests import signatures
from tests.policy import POLICY
from till.public_dns import lookup

TIMEOUT_S = 5
SETTLES_S = 10
pytestmark = pytest.mark.roles(Role.NAMESERVER)


def ask(host: Host, name: str, kind: str) -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, kind), host.address, timeout=TIMEOUT_S)


def seen(machine: Machine, contract: Contract) -> dict[str, str]:
    """What the host's nameserver tells its own host of its checks."""
    program = (
        "import dns.message, dns.query;"
        f" print(dns.query.udp(dns.message.make_query('till-sites.{contract.names.zone}', 'TXT'), '127.0.0.1',"
        f" timeout={TIMEOUT_S}).answer[0][0].strings[0].decode())"
    )
    told = machine.check_output(f'/usr/bin/python3 -c "{program}"')
    return dict(word.split("=", 1) for word in told.split())


def leading_site(machine: Machine, contract: Contract) -> str:
    leader = seen(machine, contract)["leader"]
    return next(one.site for one in contract.hosts if one.name == leader)


def edges_by_site(contract: Contract) -> dict[str, set[str]]:
    sites = {one.site for one in contract.hosts if Role.EDGE in one.roles}
    return {
        site: {one.address for one in contract.hosts if Role.EDGE in one.roles and one.site == site} for site in sites
    }


def test_service_names_lead_to_the_site_in_which_the_database_leads(
    host: Host, machine: Machine, contract: Contract
) -> None:
    edges = edges_by_site(contract)

    def right() -> bool:
        site = leading_site(machine, contract)
        allowed = edges.get(site, set().union(*edges.values()))
        answers = [ask(host, name, "A").answer for name in (names.shop, names.admin, names.api)]
        assert all(len(answer) == 1 for answer in answers)
        return all({record.address for record in answer[0]} <= allowed for answer in answers)

    names = contract.names
    # A site that was away a moment ago is taken back after a while.
    deadline = time.monotonic() + POLICY["nameserver_hold_down_s"] + SETTLES_S
    while not right():
        assert time.monotonic() < deadline
        time.sleep(1)
    order = machine.check_output("runuser -u pdns -- cat /var/lib/till-site-order/order").split()
    assert sorted(order) == sorted(edges)
    site = leading_site(machine, contract)
    assert order[0] == site or site not in edges


def test_service_names_are_remembered_as_long_as_policy_says(host: Host, contract: Contract) -> None:
    for name in (contract.names.shop, contract.names.admin, contract.names.api):
        (answer,) = ask(host, name, "A").answer
        assert (answer.rdtype, answer.ttl) == (dns.rdatatype.A, POLICY["nameserver_record_ttl_s"])


def test_absence_is_remembered_no_longer_than_an_address(host: Host, contract: Contract) -> None:
    for name, kind in ((f"nothing.{contract.names.zone}", "A"), (contract.names.shop, "MX")):
        (soa,) = ask(host, name, kind).authority
        assert min(soa.ttl, soa[0].minimum) == POLICY["nameserver_negative_ttl_s"]


def test_every_nameserver_answers_alike(host: Host, contract: Contract) -> None:
    # Also where a provider keeps the public zone, these stand ready and answer certificate orders.
    told = lookup.ask_nameservers(contract.model_copy(update={"dns_provider": None}), contract.names.shop)
    assert {json.dumps(one) for one in told.values()} == {json.dumps(told[host.name])}
    assert "addresses" in told[host.name]


def test_sites_are_checked_all_the_time_and_told_to_this_host_alone(
    host: Host, machine: Machine, contract: Contract
) -> None:
    found = seen(machine, contract)
    assert found.pop("leader") in {one.name for one in contract.hosts if Role.DATABASE in one.roles}
    assert found == {one.site: "0" for one in contract.hosts if Role.EDGE in one.roles}
    (answer,) = ask(host, f"till-sites.{contract.names.zone}", "TXT").answer
    assert answer[0].strings == (b"",)


def test_order_is_kept_without_anybody(host: Host, machine: Machine) -> None:
    unit = machine.service("till-site-order.service")
    assert unit.is_enabled
    assert unit.is_running
    assert machine.check_output("systemctl show -P Restart till-site-order.service") == "always"


def test_what_is_run_for_an_answer_belongs_to_root(host: Host, machine: Machine) -> None:
    code = machine.file("/etc/powerdns/sites.lua")
    assert (code.user, code.mode) == ("root", 0o644)
    settings = machine.check_output("cat /etc/powerdns/pdns.conf").splitlines()
    assert f"lua-health-checks-interval={POLICY['nameserver_health_interval_s']}" in settings


def test_answers_and_denials_are_signed_by_one_key_or_none_is(host: Host, contract: Contract) -> None:
    names = contract.names
    others = [one.address for one in contract.hosts if Role.NAMESERVER in one.roles]
    keys = {str(signatures.key(address, names.zone)) for address in others}
    if not names.dnssec:
        assert keys == {"None"}
        return
    assert len(keys) == 1
    assert "None" not in keys
    for name, kind in ((names.shop, "A"), (names.zone, "SOA"), (names.zone, "DNSKEY")):
        assert signatures.validated(host.address, names.zone, name, kind).answer
    # The denial says that a service name has addresses, not that it has a record of the nameserver's own kind.
    denied = signatures.validated(host.address, names.zone, names.shop, "MX")
    (nsec,) = (one for one in denied.authority if one.rdtype == dns.rdatatype.NSEC)
    assert " A " in f" {nsec[0]} "
    assert not denied.answer
    absent = signatures.validated(host.address, names.zone, f"nothing.{names.zone}", "A")
    assert absent.rcode() == dns.rcode.NXDOMAIN

"""What the public sees: names, certificates, headers, limits; asked at every edge and nameserver by address."""

from __future__ import annotations

import re
import socket
import ssl
import time
import uuid

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import httpx
import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests.policy import POLICY
from till.observe import probe
from till.policy import thresholds

TIMEOUT_S = 5
LASTS_AT_LEAST_S = 7 * 86400
HSTS_AT_LEAST_S = 31_536_000


def ask(host: Host, name: str, kind: dns.rdatatype.RdataType, recursion: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    if not recursion:
        query.flags &= ~dns.flags.RD
    return dns.query.udp(query, host.address, timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def trust(contract: Contract):
    return probe.public_trust(contract)


@pytest.mark.roles(Role.NAMESERVER)
def test_names_lead_to_an_edge(host: Host, contract: Contract) -> None:
    edges = {one.address for one in contract.hosts if Role.EDGE in one.roles}
    for name in (contract.names.shop, contract.names.admin, contract.names.api):
        answer = ask(host, name, dns.rdatatype.A)
        found = {record.address for rrset in answer.answer for record in rrset}
        assert found
        assert found <= edges
        assert answer.flags & dns.flags.AA


def test_serials_are_in_step(contract: Contract) -> None:
    servers = [one for one in contract.hosts if Role.NAMESERVER in one.roles]
    serials = {one.name: ask(one, contract.names.zone, dns.rdatatype.SOA).answer[0][0].serial for one in servers}
    assert len(set(serials.values())) == 1, serials
    listed = {str(record.target) for record in ask(servers[0], contract.names.zone, dns.rdatatype.NS).answer[0]}
    assert len(listed) == len(servers)


@pytest.mark.roles(Role.NAMESERVER)
def test_nameserver_does_not_recurse(host: Host) -> None:
    answer = ask(host, "example.com", dns.rdatatype.A, recursion=True)
    assert not answer.flags & dns.flags.RA
    assert answer.rcode() == dns.rcode.REFUSED
    assert not answer.answer


@pytest.mark.roles(Role.NAMESERVER)
def test_nameserver_answers_over_tcp_and_gives_nothing_away(host: Host, contract: Contract) -> None:
    question = dns.message.make_query(contract.names.zone, dns.rdatatype.SOA)
    assert dns.query.tcp(question, host.address, timeout=TIMEOUT_S).answer
    whole_zone = dns.message.make_query(contract.names.zone, dns.rdatatype.AXFR)
    assert dns.query.tcp(whole_zone, host.address, timeout=TIMEOUT_S).rcode() != dns.rcode.NOERROR
    unsigned = dns.update.UpdateMessage(contract.names.zone)
    unsigned.add("till-forged", 5, "TXT", "forged")
    assert dns.query.udp(unsigned, host.address, timeout=TIMEOUT_S).rcode() != dns.rcode.NOERROR
    assert not ask(host, f"till-forged.{contract.names.zone}", dns.rdatatype.TXT).answer


@pytest.mark.roles(Role.EDGE)
def test_served_certificate_is_trusted_for_every_name(host: Host, contract: Contract, trust) -> None:
    for name in (contract.names.shop, contract.names.admin, contract.names.api):
        served = probe.served_certificate(name, host.address, trust)
        assert ("DNS", name) in served["subjectAltName"]
        assert ssl.cert_time_to_seconds(served["notAfter"]) - time.time() > LASTS_AT_LEAST_S


@pytest.mark.roles(Role.EDGE)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(host: Host, contract: Contract, trust) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((host.address, 443), timeout=TIMEOUT_S) as raw, pytest.raises(OSError):
        context.wrap_socket(raw, server_hostname=contract.names.shop)
    # The refusal is of the version: newer ones are taken at the same place.
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        trust.minimum_version = trust.maximum_version = version
        try:
            assert probe.served_certificate(contract.names.shop, host.address, trust)
        finally:
            trust.minimum_version = ssl.TLSVersion.TLSv1_2
            trust.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED


@pytest.mark.roles(Role.EDGE)
def test_http_leads_to_https(host: Host, contract: Contract) -> None:
    answer = httpx.get(f"http://{host.address}/en?x=1", headers={"Host": contract.names.shop}, timeout=TIMEOUT_S)
    assert answer.status_code in (301, 308)
    assert answer.headers["location"] == f"https://{contract.names.shop}/en?x=1"


@pytest.mark.roles(Role.EDGE)
def test_edge_tells_that_a_slot_serves_and_logs_no_checks(host: Host, machine: Machine, contract: Contract) -> None:
    assert httpx.get(f"http://{host.address}{POLICY['policy_alive_path']}", timeout=TIMEOUT_S).status_code == 200
    logged = machine.check_output("journalctl -u haproxy --since -5s -o cat")
    checkers = sum(Role.NAMESERVER in one.roles for one in contract.hosts)
    assert logged.count("health") < checkers * 5 / 2


@pytest.mark.roles(Role.EDGE)
@pytest.mark.parametrize("unit", ["haproxy", "till-database-proxy"])
def test_the_haproxy_that_runs_is_the_installed_one(machine: Machine, unit: str) -> None:
    """After an upgrade by apt it is reloaded; where it is not: systemctl reload of the unit."""
    master = machine.check_output(f"systemctl show --property=MainPID --value {unit}")
    assert machine.check_output(f"readlink /proc/{master}/exe") == "/usr/sbin/haproxy"


@pytest.mark.roles(Role.EDGE)
def test_security_headers_are_on_pages_and_api(host: Host, contract: Contract, trust) -> None:
    with probe.Site(contract.names.shop, host.address, trust) as site:
        for path in ("/en", "/ar", "/api/version"):
            answer = site.ask("GET", path)
            missing = [name for name in thresholds()["security_headers"] if name not in answer.headers]
            assert (path, missing) == (path, [])
            assert "server" not in answer.headers
            assert "x-powered-by" not in answer.headers
            hsts = re.search(r"max-age=(\d+)", answer.headers["strict-transport-security"])
            assert hsts
            assert int(hsts[1]) >= HSTS_AT_LEAST_S
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] in ("DENY", "SAMEORIGIN")
        # A page's scripts run by nonce: the edge must not have put its own policy over the app's.
        assert re.search(r"script-src[^;]*'nonce-", site.ask("GET", "/en").headers["content-security-policy"])


@pytest.mark.roles(Role.EDGE)
def test_a_user_pays_once_a_second(host: Host, contract: Contract, trust) -> None:
    def attempt(user: str) -> httpx.Response:
        return site.ask(
            "POST", "/api/payments/paypal/create-order", headers={"Cookie": f"till_session={user}"}, json={"test": True}
        )

    with probe.Site(contract.names.shop, host.address, trust) as site:
        for _ in range(3):
            user, began = uuid.uuid4().hex, time.monotonic()
            assert attempt(user).status_code == 400
            limited = attempt(user)
            # A busy machine may need the second in which a user pays once.
            if time.monotonic() - began < 0.9:
                break
        assert limited.status_code == 429
        assert int(limited.headers["retry-after"]) >= 1
        assert attempt(uuid.uuid4().hex).status_code == 400


@pytest.mark.roles(Role.EDGE)
def test_internal_paths_and_unknown_names_stay_closed(host: Host, contract: Contract, trust) -> None:
    with probe.Site(contract.names.shop, host.address, trust) as site:
        assert site.ask("GET", "/api/metrics").status_code in (403, 404)
        assert site.ask("GET", "/", headers={"Host": "elsewhere.example"}).status_code in (403, 404, 421)
    with probe.Site(contract.names.api, host.address, trust) as site:
        assert site.ask("GET", "/api/version").status_code == 200
        assert site.ask("GET", "/en").status_code == 404

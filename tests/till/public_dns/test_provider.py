"""The records at a provider, by two modules of dns-lexicon against a real nameserver."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from infra.contract import Contract, DnsProvider
from tests import provider_zone
from tests.policy import POLICY
from tests.provider_zone import API_KEY, FOREIGN, TSIG_NAME, TSIG_SECRET, Provider, running
from tests.till.conftest import contract_of, host
from till.errors import TillError, UsageError
from till.policy import thresholds
from till.progress import Progress
from till.public_dns import challenges, lookup
from till.public_dns import provider as dns_provider
from till.public_dns.zone import service_names
from till.recovery import public_names

ALPHA, BRAVO = ("192.0.2.11", "192.0.2.12"), ("198.51.100.21",)
TTL_S = POLICY["policy_provider_record_ttl_s"]
OTHER_KEY = "b3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXktMDE="


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running(tmp_path_factory.mktemp("provider")) as server:
        yield server


@pytest.fixture(params=["ddns", "powerdns"])
def contract(request: pytest.FixtureRequest, server: Provider) -> Iterator[Contract]:
    contract = at(server.by(request.param))
    yield contract
    dns_provider.converge(contract, service_names(contract), ())


def at(provider: DnsProvider) -> Contract:
    return contract_of(
        host("alpha", address=ALPHA[0]),
        host("alpha2", address=ALPHA[1], site="alpha"),
        host("bravo", address=BRAVO[0]),
        host("ops", roles=["nameserver"]),
    ).model_copy(update={"dns_provider": provider})


def led(server: Provider, contract: Contract) -> dict[str, tuple[list[str], int | None]]:
    return {name: server.answer(name) for name in service_names(contract)}


def test_names_are_made_moved_and_left_alone(server: Provider, contract: Contract) -> None:
    names = service_names(contract)
    assert led(server, contract) == dict.fromkeys(names, ([], None))
    made = public_names.lead(contract, "alpha", Progress())
    assert len(made) == len(names) * len(ALPHA)
    assert led(server, contract) == dict.fromkeys(names, (list(ALPHA), TTL_S))
    serial = server.serial()
    assert public_names.lead(contract, "alpha", Progress()) == []
    assert server.serial() == serial
    would = public_names.planned(contract, "bravo")
    assert server.serial() == serial
    assert public_names.lead(contract, "bravo", Progress()) == would
    assert f"shop.lab.test A {BRAVO[0]} is added" in would
    assert f"shop.lab.test A {ALPHA[1]} is removed" in would
    assert led(server, contract) == dict.fromkeys(names, (list(BRAVO), TTL_S))
    assert server.foreign() == FOREIGN


def test_a_name_may_be_the_zone_itself(server: Provider, contract: Contract) -> None:
    names = contract.names.model_copy(update={"shop": provider_zone.ZONE})
    apex = contract.model_copy(update={"names": names})
    for site, addresses in (("alpha", ALPHA), ("bravo", BRAVO)):
        public_names.lead(apex, site, Progress())
        assert server.answer(provider_zone.ZONE) == (list(addresses), TTL_S)
        assert public_names.lead(apex, site, Progress()) == []
    dns_provider.converge(apex, [provider_zone.ZONE], ())
    assert server.foreign() == FOREIGN


def test_another_ttl_is_mended_also_while_names_move(
    server: Provider, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = service_names(contract)
    with monkeypatch.context() as changed:
        changed.setitem(POLICY, "policy_provider_record_ttl_s", 7200)
        dns_provider.converge(contract, names, BRAVO)
    assert server.answer(names[0]) == (list(BRAVO), 7200)
    assert dns_provider.converge(contract, names, BRAVO) == [
        f"{name} A {BRAVO[0]}: TTL 7200 s becomes {TTL_S} s" for name in names
    ]
    with monkeypatch.context() as changed:
        changed.setitem(POLICY, "policy_provider_record_ttl_s", 7200)
        dns_provider.converge(contract, names, BRAVO)
    dns_provider.converge(contract, names, ALPHA[:1])
    assert led(server, contract) == dict.fromkeys(names, (list(ALPHA[:1]), TTL_S))
    assert server.foreign() == FOREIGN


def test_a_name_is_never_without_an_address_while_it_moves(server: Provider, contract: Contract) -> None:
    names, over, heard = service_names(contract), threading.Event(), list[list[str]]()
    dns_provider.converge(contract, names, ALPHA)

    def listen() -> None:
        while not over.is_set():
            heard.append(server.answer(names[0])[0])

    listener = threading.Thread(target=listen)
    listener.start()
    dns_provider.converge(contract, names, BRAVO)
    over.set()
    listener.join()
    assert heard[0] == list(ALPHA)
    assert [] not in heard


@pytest.mark.parametrize(
    ("provider", "wrong"),
    [("ddns", f"hmac-sha256:{TSIG_NAME}:{OTHER_KEY}"), ("ddns", f"hmac-sha256:nobody:{OTHER_KEY}"),
     ("powerdns", "canary-wrong-key")],
)  # fmt: skip
def test_wrong_credentials_are_a_fault_that_does_not_tell_them(server: Provider, provider: str, wrong: str) -> None:
    contract = at(server.by(provider, auth_token=wrong))
    with pytest.raises(TillError) as raised:
        dns_provider.converge(contract, service_names(contract), BRAVO)
    said = f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"
    assert f"zone lab.test at {provider}" in said and "till:dnsProviderCredentials" in said
    assert wrong not in said and OTHER_KEY not in said
    assert server.answer("shop.lab.test")[0] == []


@pytest.mark.parametrize("key", ["canary+key/of-a-provider", "a"])
def test_a_fault_that_repeats_a_credential_is_told_without_it(server: Provider, key: str) -> None:
    told = server.by("powerdns", auth_token=key)
    place = f"{told.options['pdns_server']}/{quote(key, safe='')}"
    with pytest.raises(TillError) as raised:
        dns_provider.read_records(at(told.model_copy(update={"options": {"pdns_server": place}})), ["shop.lab.test"])
    assert raised.value.message.startswith("zone lab.test at powerdns: HTTPError")
    assert (f"/{quote(key, safe='')}/" in str(raised.value)) is False
    assert ("[REDACTED]" in raised.value.message) is (len(key) > 1)


def test_a_refusal_that_the_module_does_not_hear_is_a_fault(
    server: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(thresholds()["dns"], "provider_settle_s", 1)
    contract = at(server.by("ddns"))
    names = service_names(contract)
    dns_provider.converge(contract, names, ALPHA)
    server.allow_updates_by("somebody-else")
    try:
        with pytest.raises(TillError, match=r"did not make them: shop\.lab\.test A 198\.51\.100\.21 is added"):
            dns_provider.converge(contract, names, BRAVO)
        monkeypatch.setitem(POLICY, "policy_provider_record_ttl_s", 7200)
        with pytest.raises(TillError, match=rf"did not make them: .*TTL {TTL_S} s becomes 7200 s"):
            dns_provider.converge(contract, names, ALPHA)
        assert server.answer(names[0]) == (list(ALPHA), TTL_S)
    finally:
        server.allow_updates_by(TSIG_NAME)
        dns_provider.converge(contract, names, ())


def test_a_provider_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, server: Provider) -> None:
    monkeypatch.setitem(thresholds()["dns"], "provider_deadline_s", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = server.by("powerdns").model_copy(
            update={"options": {"pdns_server": f"http://127.0.0.1:{silent.getsockname()[1]}"}}
        )
        with pytest.raises(TillError, match="no answer within 1 s"):
            dns_provider.read_records(at(told), ["shop.lab.test"])
    logging.disable(logging.NOTSET)


def test_nothing_is_logged_and_nothing_else_of_the_machine_is_looked_at(
    server: Provider,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("DDNS", "POWERDNS"):
        monkeypatch.setenv(f"LEXICON_{name}_AUTH_TOKEN", "hmac-sha256:nobody:bm90aGluZw==")
    caplog.set_level(logging.DEBUG)
    dns_provider.converge(contract, service_names(contract), BRAVO)
    assert server.answer("shop.lab.test")[0] == list(BRAVO)
    assert not [one for one in caplog.records if one.name.startswith(("lexicon", "urllib3", "requests"))]
    assert list(tmp_path.iterdir()) == []


def test_no_credential_shows_in_what_is_printed_of_a_contract(server: Provider) -> None:
    for provider in ("ddns", "powerdns"):
        contract = at(server.by(provider))
        for text in (repr(contract), str(contract.public())):
            assert API_KEY not in text and TSIG_SECRET not in text


def test_its_nameserver_is_asked_for_what_it_answers(server: Provider, contract: Contract) -> None:
    public_names.lead(contract, "bravo", Progress())
    assert lookup.resolve(contract, contract.names.admin) == list(BRAVO)
    told = lookup.ask_nameservers(contract, contract.names.shop)
    # The zone has somebody else's IPv6 address for the shop's name: told, as clients go there.
    assert told == {server.address: {"addresses": sorted([*BRAVO, "2001:db8::80"])}}


def test_a_nameserver_that_can_not_be_found_is_a_fault_of_the_answer(server: Provider) -> None:
    lost = server.by("ddns").model_copy(update={"nameservers": ("ns.nowhere.invalid",)})
    told = lookup.ask_nameservers(at(lost), "shop.lab.test")
    assert "can't be found out" in told["lab.test"]["fault"]


def test_certificates_are_refused_until_their_challenges_are_delegated(server: Provider) -> None:
    contract = at(server.by("ddns"))
    challenges.refuse_undelegated(contract, tags="nameserver")
    with pytest.raises(UsageError) as raised:
        challenges.refuse_undelegated(contract, tags="")
    for name in service_names(contract):
        assert f"_acme-challenge.{name}" in str(raised.value)
    server.add("_acme-challenge.shop.lab.test", "NS", "ns1.elsewhere.example.")
    with pytest.raises(UsageError) as raised:
        challenges.refuse_undelegated(contract, tags="certificates")
    assert "_acme-challenge.shop" not in str(raised.value) and "_acme-challenge.api" in str(raised.value)
    for label in ("admin", "api"):
        server.tell(
            "add-record", provider_zone.ZONE, f"_acme-challenge.{label}", "NS", "3600", "ns1.elsewhere.example."
        )
    challenges.refuse_undelegated(contract, tags="")

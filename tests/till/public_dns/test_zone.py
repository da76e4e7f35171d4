"""What differs at a provider, in which order it is mended, and where names should lead. Pure."""

from __future__ import annotations

import pytest

from infra.contract import Contract
from tests.till.conftest import contract_of, host
from till.public_dns.zone import Record, astray, differences, edges, records, service_names, site_to_lead

A1, A2, B1 = "192.0.2.11", "192.0.2.12", "198.51.100.21"
SHOP = "shop.lab.test"


def sites(provider: bool = True) -> Contract:
    contract = contract_of(
        host("alpha", address=A1, roles=["edge", "app", "database"]),
        host("alpha2", address=A2, site="alpha", roles=["edge", "app"]),
        host("bravo", address=B1, roles=["edge", "app", "database"]),
        host("ops", address="203.0.113.31", roles=["database"]),
    )
    kept = {"provider": "ddns", "options": {}, "credentials": {}, "nameservers": ["192.0.2.53"]}
    return Contract.model_validate(contract.model_dump() | {"dns_provider": kept}) if provider else contract


def told(held: list[Record], addresses: tuple[str, ...], ttl_s: int = 60) -> list[str]:
    return [change.sentence(ttl_s) for change in differences(held, [SHOP], addresses, ttl_s)]


def test_of_all_that_is_listed_only_a_records_of_these_names_count() -> None:
    ours = {"type": "A", "name": "Shop.lab.test.", "content": A1, "ttl": "60", "id": "7"}
    others = [{**ours, "type": "AAAA"}, {**ours, "name": "www.lab.test"}, {**ours, "type": "TXT"}]
    assert records([*others, ours, ours], [SHOP]) == [Record(SHOP, A1, 60, "7")]
    assert records([{"type": "A", "name": SHOP, "content": A1}], [SHOP]) == [Record(SHOP, A1, None, None)]


def test_what_is_right_needs_no_call() -> None:
    assert told([Record(SHOP, A1, 60), Record(SHOP, A2, 60)], (A1, A2)) == []


def test_what_comes_is_added_before_what_goes_is_removed() -> None:
    assert told([Record(SHOP, A1, 60)], (B1,)) == [f"{SHOP} A {B1} is added", f"{SHOP} A {A1} is removed"]


def test_an_address_that_stays_is_not_touched() -> None:
    assert told([Record(SHOP, A1, 60), Record(SHOP, B1, 60)], (A1,)) == [f"{SHOP} A {B1} is removed"]


def test_another_ttl_is_mended_and_an_unknown_one_is_not() -> None:
    assert told([Record(SHOP, A1, 300), Record(SHOP, A2, None)], (A1, A2)) == [f"{SHOP} A {A1}: TTL 300 s becomes 60 s"]


def test_a_record_that_goes_needs_no_ttl() -> None:
    assert told([Record(SHOP, A1, 300)], ()) == [f"{SHOP} A {A1} is removed"]


def test_other_names_are_nobodys_business() -> None:
    assert told([Record("www.lab.test", A1, 300), Record(SHOP, B1, 60)], (B1,)) == []


def test_the_record_that_is_changed_keeps_the_providers_name_for_it() -> None:
    (change,) = differences([Record(SHOP, A1, 60, "id-7")], [SHOP], (), 60)
    assert change.record.identifier == "id-7"


def test_a_name_that_serves_twice_is_kept_once() -> None:
    contract = sites()
    same = contract.names.model_copy(update={"api": contract.names.shop})
    assert service_names(contract.model_copy(update={"names": same})) == (SHOP, "admin.lab.test")


def test_every_edge_of_a_site_is_led_to() -> None:
    assert edges(sites(), "alpha") == (A1, A2)
    assert edges(sites(), "ops") == ()


@pytest.mark.parametrize(
    ("leader", "held", "site"),
    [
        ("bravo", [A1], "bravo"),
        ("alpha", [], "alpha"),
        (None, [], "alpha"),
        (None, [B1], "bravo"),
        ("ops", [B1], "bravo"),
        ("ops", [A1, B1], "alpha"),
        (None, ["203.0.113.99"], "alpha"),
    ],
)
def test_names_lead_to_the_leader_else_stay_else_lead_to_the_first(
    leader: str | None, held: list[str], site: str
) -> None:
    assert site_to_lead(sites(), leader, [Record(SHOP, address, 60) for address in held]) == site


def test_names_that_did_not_follow_the_leader_are_a_fault_that_says_how_to_move_them() -> None:
    (fault,) = astray(sites(), "bravo", {"ns1": {"addresses": [A1, A2]}, "ns2": {"addresses": [B1]}})
    assert f"ns1: {A1}, {A2}" in fault and "ns2" not in fault
    assert "till failover lab --to bravo" in fault


@pytest.mark.parametrize(
    ("leader", "answer"),
    [("bravo", {"addresses": [B1]}), ("bravo", {"fault": "does not answer"}), (None, {"addresses": [A1]}),
     ("ops", {"addresses": [A1]})],
)  # fmt: skip
def test_names_are_not_astray(leader: str | None, answer: dict[str, object]) -> None:
    assert astray(sites(), leader, {"ns1": answer}) == []


def test_an_address_that_is_no_edge_of_the_site_is_a_fault() -> None:
    assert astray(sites(), "bravo", {"ns1": {"addresses": [B1, "2001:db8::80"]}})


def test_own_nameservers_follow_by_themselves() -> None:
    assert astray(sites(provider=False), "bravo", {"alpha": {"addresses": [A1]}}) == []

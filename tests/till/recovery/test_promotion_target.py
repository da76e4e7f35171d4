"""Which copy may lead next: chosen and refused without a fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.contract import Contract, Host, Role
from till.errors import GateSaidNo, HostUnreachable, Refused, TillError, UsageError
from till.recovery import promotion_target
from till.recovery.promotion_target import NotYet, Seen

EDGE = (Role.EDGE, Role.APP, Role.DATABASE, Role.NAMESERVER)
HOSTS = (("a1", "alpha", EDGE), ("b1", "bravo", EDGE), ("o1", "ops", (Role.DATABASE, Role.ETCD)))


def stack(*hosts: tuple[str, str, tuple[Role, ...]], environment: str = "lab") -> Contract:
    made = [
        Host(name=name, address=f"192.0.2.{number}", user="root", host_key="k", site=site, roles=roles)
        for number, (name, site, roles) in enumerate(hosts or HOSTS, 1)
    ]
    return Contract.model_construct(stack="shop", environment=environment, hosts=tuple(made))


def member(name: str, role: str = "Replica", state: str = "streaming", lag_mb: Any = 0) -> dict[str, Any]:
    return {"name": name, "role": role, "state": state, "lag_mb": lag_mb}


LEADS = member("a1", "Leader", "running", None)
WELL = Seen("a1", [LEADS, member("b1", "Sync Standby"), member("o1")], health={"a1": 200, "b1": 200})


def test_the_copy_at_the_site_is_chosen_and_none_where_it_leads_already() -> None:
    chosen = promotion_target.target(stack(), WELL, "bravo", 1)
    assert chosen is not None
    assert chosen.name == "b1"
    assert promotion_target.target(stack(), WELL, "alpha", 1) is None


def test_of_two_copies_at_a_site_the_synchronous_one_is_chosen() -> None:
    contract = stack(*HOSTS, ("b2", "bravo", EDGE))
    seen = replace(WELL, members=[LEADS, member("b1"), member("b2", "Sync Standby"), member("o1")])
    chosen = promotion_target.target(contract, seen, "bravo", 1)
    assert chosen is not None
    assert chosen.name == "b2"


def test_a_copy_that_is_not_synchronous_yet_can_become_it() -> None:
    seen = replace(WELL, members=[LEADS, member("b1", lag_mb=0.5), member("o1", "Sync Standby")])
    assert promotion_target.target(stack(), seen, "bravo", 1) is not None


@pytest.mark.parametrize(
    ("seen", "site", "error", "words"),
    [
        (WELL, "delta", UsageError, "no edge with a database"),
        (WELL, "ops", UsageError, "till failover shop --to alpha or bravo"),
        (replace(WELL, unreached={"a1": "timed out"}), "bravo", HostUnreachable, "Patroni elects a new leader"),
        (replace(WELL, leader=""), "bravo", GateSaidNo, "no database leads just now; nothing is moved"),
        (replace(WELL, members=[{**LEADS, "state": "stopped"}]), "bravo", GateSaidNo, "no database leads just now"),
        (replace(WELL, unfinished={"o1": {"to": "latest", "phase": "fetched"}}), "bravo", Refused, "restore to latest"),
        (replace(WELL, health={"a1": 200, "b1": 503}), "bravo", NotYet, "b1 answers 503"),
        (replace(WELL, health={"a1": 200, "b1": None}), "bravo", GateSaidNo, "b1 answers nothing"),
        (replace(WELL, unreached={"b1": "timed out"}), "bravo", GateSaidNo, "not reached"),
        (replace(WELL, members=[LEADS, member("o1", "Sync Standby")]), "bravo", GateSaidNo, "is no member"),
        (replace(WELL, members=[LEADS, member("b1", state="stopped"), member("o1")]), "bravo", GateSaidNo, "stopped"),
        (replace(WELL, members=[LEADS, member("b1", lag_mb=2), member("o1")]), "bravo", NotYet, "b1 lags 2 MB"),
        (replace(WELL, members=[LEADS, member("b1", lag_mb="unknown"), member("o1")]), "bravo", NotYet, "unknown"),
        (replace(WELL, members=[LEADS, member("b1"), member("o1", lag_mb=2)]), "bravo", NotYet, "no copy would be"),
        (replace(WELL, members=[LEADS, member("b1", "Sync Standby")]), "bravo", GateSaidNo, "no copy would be"),
        (replace(WELL, unreached={"o1": "timed out"}), "bravo", GateSaidNo, "no copy would be synchronous"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_and_what_to_do(seen: Seen, site: str, error: type[TillError], words: str) -> None:
    with pytest.raises(error) as told:
        promotion_target.target(stack(), seen, site, 1)
    assert type(told.value) is error
    assert words in str(told.value)
    assert told.value.next_command


def test_with_two_copies_only_the_old_leader_is_the_one_that_follows() -> None:
    seen = replace(WELL, members=[LEADS, member("b1", "Sync Standby")])
    assert promotion_target.target(stack(*HOSTS[:2]), seen, "bravo", 1) is not None


def test_a_site_that_leads_already_needs_no_health() -> None:
    assert promotion_target.target(stack(), replace(WELL, health={}, unfinished={"o1": {}}), "alpha", 1) is None


def test_the_preferred_site_is_that_of_the_first_edge() -> None:
    assert promotion_target.preferred(stack(HOSTS[2], HOSTS[1], HOSTS[0])) == "bravo"


@pytest.mark.parametrize(("verb", "to"), [("failover", " --to bravo"), ("failback", "")])
def test_where_payments_are_real_the_stacks_name_is_typed(verb: str, to: str) -> None:
    production = stack(environment="production")
    with pytest.raises(Refused) as told:
        promotion_target.refuse_unconfirmed(production, "a1", verb, "bravo", "bravo")
    assert told.value.next_command == f"till {verb} shop{to} --confirm shop"
    promotion_target.refuse_unconfirmed(production, "a1", verb, "bravo", "shop")
    promotion_target.refuse_unconfirmed(stack(), "a1", verb, "bravo", "")


def test_an_unfinished_restore_is_told_as_it_was_begun() -> None:
    begun = {"to": "latest", "phase": "fetched", "repository": 2}
    with pytest.raises(Refused) as told:
        promotion_target.target(stack(), replace(WELL, unfinished={"o1": begun}), "bravo", 1)
    assert told.value.next_command == "till restore shop --to 'latest' --host o1 --repository 2 --confirm shop"

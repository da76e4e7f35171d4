"""What a failover drill decides and measures, without a host: numbers from what was noted, the window, the gate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.policy import POLICY
from till_host import window
from till_host.drills import fault, measure
from till_host.drills import readiness as look
from till_host.drills import ssh_gate as gate
from till_host.faults import Fault
from till_host.payments import reconcile

Told, Purchase = measure.Told, measure.Purchase
T0 = 1_800_000_000.0
BROKEN = measure.Broken("alpha", "db-a", T0, T0 + 45)
LOAD = {"noticed_s": 3, "purchase_timeout_s": 10}
BEGAN, ENDED = T0 - 10, T0 + 80


def told(*events: tuple[float, str, str]) -> list[Any]:
    return [Told(T0 + at, who, what) for at, who, what in events]


def bought(*times: float, took_s: float = 0.5) -> list[Any]:
    """A payment acknowledged at each of these seconds from the fault."""
    return [Purchase(T0 + at - took_s, T0 + at, f"T{at}", f"O{at}") for at in times]


def every_second(first: int, last: int) -> list[Any]:
    return bought(*map(float, range(first, last)))


def test_detection_is_the_first_of_a_changed_answer_and_a_released_key() -> None:
    names = told((-9, "nameserver bravo", "alpha"), (3.2, "nameserver bravo", "bravo"))
    key = told((-5, "leader key", "db-a"), (2.5, "leader key", "released"))
    assert measure.detected_s(names, BROKEN) == 3.2
    assert measure.detected_s(sorted([*names, *key], key=lambda one: one.at), BROKEN) == 2.5
    resolver = told((-4, "resolver", "alpha"), (3.1, "resolver", "bravo"))
    assert measure.detected_s(sorted([*names, *resolver], key=lambda one: one.at), BROKEN) == 3.1


def test_silence_the_first_answer_and_what_was_before_or_after_the_fault_detect_nothing() -> None:
    quiet = told(
        (-9, "nameserver alpha", "alpha"), (1, "nameserver alpha", "silence"), (9, "nameserver alpha", "alpha"),
        (4, "nameserver late", "bravo"), (5, "resolver", "bravo"), (-1, "leader key", "released"),
        (60, "nameserver alpha", "bravo"),
    )  # fmt: skip
    assert measure.detected_s(quiet, BROKEN) is None


def test_names_have_switched_when_the_resolver_never_answers_the_site_again() -> None:
    there_and_back = told(
        (-9, "resolver", "alpha"), (2, "resolver", "silence"), (4, "resolver", "bravo"), (6, "resolver", "alpha+bravo"),
        (8.1, "resolver", "bravo"), (50, "resolver", "alpha"),
    )  # fmt: skip
    assert measure.dns_switch_s(there_and_back, BROKEN) == 8.1
    assert measure.dns_switch_s(told((-9, "resolver", "alpha"), (3, "resolver", "empty")), BROKEN) is None
    assert measure.dns_switch_s(told((-9, "nameserver bravo", "bravo"), (-9, "resolver", "alpha")), BROKEN) is None


def test_promoted_is_another_database_that_says_so() -> None:
    events = told((-9, "database db-a", "leads"), (14, "database db-a", "leads"), (21.5, "database db-b", "leads"))
    assert measure.promoted_s(events, BROKEN) == 21.5
    assert measure.promoted_s(events[:2], BROKEN) is None


def test_rto_is_the_end_of_the_longest_pause_after_the_fault() -> None:
    purchases = [*every_second(-9, 1), *bought(0.4, 12.0), *every_second(27, 80)]
    found = measure.payments(purchases, BROKEN, BEGAN, ENDED, LOAD)
    assert (found["rto_s"], found["pause_s"]) == (27.0, 15.0)
    assert found["acknowledged_payments"] == found["purchases"] == len(purchases)


def test_a_pause_before_the_fault_or_a_short_one_is_no_interruption() -> None:
    steady = every_second(-9, 80)
    assert measure.payments(steady, BROKEN, BEGAN, ENDED, LOAD)["rto_s"] == 0.0
    slow_before = [*bought(-9.0, -4.0), *every_second(0, 20), *every_second(24, 80)]
    found = measure.payments(slow_before, BROKEN, BEGAN, ENDED, LOAD)
    assert (found["pause_before_s"], found["pause_s"], found["rto_s"]) == (5.0, 5.0, 0.0)


def test_nothing_acknowledged_any_more_is_no_number() -> None:
    found = measure.payments(every_second(-9, 10), BROKEN, BEGAN, ENDED, LOAD)
    assert found["rto_s"] is None


def test_who_was_told_too_late_or_never_counts_as_failed() -> None:
    late, never = bought(30.0, took_s=10.5), [Purchase(T0, T0 + 10, "", "O1", 3, "TimeoutError")]
    found = measure.payments([*every_second(-9, 80), *late, *never], BROKEN, BEGAN, ENDED, LOAD)
    assert (found["failed_requests"], found["failed_tries"]) == (2, 3)
    assert found["purchases"] - found["acknowledged_payments"] == 1


LIMITS = {"rto_max_s": 10, "rto_on_lease_max_s": 30, "dns_switch_max_s": 10, "lost_max": 0, "duplicated_max": 0}
GOOD = {"rto_s": 10.0, "dns_switch_s": None, "lost_payments": 0, "duplicated_payments": 0}


@pytest.mark.parametrize(
    ("changed", "fast_release", "broken"),
    [
        ({}, True, 0),
        ({"rto_s": 10.1}, True, 1),
        ({"rto_s": 29.9}, False, 0),
        ({"rto_s": 30.1}, False, 1),
        ({"dns_switch_s": 10.1}, False, 1),
        ({"lost_payments": 1, "duplicated_payments": 1}, False, 2),
    ],
)
def test_limits(changed: dict[str, Any], fast_release: bool, broken: int) -> None:
    assert len(measure.limits_broken({**GOOD, **changed}, LIMITS, fast_release)) == broken


def counted(purchases: list[Any], rows: list[tuple[str, str]], captures: list[tuple[str, str]]) -> tuple[int, ...]:
    found = reconcile.compare(purchases, rows, captures)
    return tuple(
        found[f"{name}"]
        for name in ("lost_payments", "duplicated_payments", "charged_unacknowledged", "charged_without_order")
    )


def test_each_acknowledged_payment_is_one_row_and_one_capture() -> None:
    two = [Purchase(0, 1, "T1", "O1"), Purchase(0, 1, "T2", "O2")]
    both = [("T1", "O1"), ("T2", "O2")]
    assert counted(two, both, both) == (0, 0, 0, 0)
    assert counted(two, both[:1], both) == (1, 0, 0, 0)
    assert counted(two, both, both[:1]) == (1, 0, 0, 0)
    assert counted(two, [*both, ("T2", "O2")], both) == (0, 1, 0, 0)
    assert counted(two, both, [*both, ("T9", "O2")]) == (0, 1, 0, 0)
    # Another capture than the one that was acknowledged is none of it.
    assert counted(two, both, [("T1", "O1"), ("T9", "O2")]) == (1, 0, 0, 0)


def test_two_buyers_that_were_told_the_same_payment_are_one_payment_short() -> None:
    assert counted([Purchase(0, 1, "T1", "O1"), Purchase(0, 1, "T1", "O1")], [("T1", "O1")], [("T1", "O1")])[0] == 1


def test_a_charge_that_was_not_acknowledged_is_told_and_whether_its_order_is_there() -> None:
    unsaid = [Purchase(0, 10, "", "O1"), Purchase(0, 10, "", "O2"), Purchase(0, 10, "", "")]
    assert counted(unsaid, [("T1", "O1")], [("T1", "O1"), ("T2", "O2")]) == (0, 0, 2, 1)


WINDOW = POLICY["policy_deployment_window"]["production"]


@pytest.mark.parametrize(
    ("utc", "open_"),
    [
        # 2026-01-06 is a Tuesday; Muscat is four hours ahead of UTC.
        ("2026-01-05T21:59", False),
        ("2026-01-05T22:00", True),
        ("2026-01-06T00:59", True),
        ("2026-01-06T01:00", False),
        ("2026-01-07T23:00", True),
        ("2026-01-08T23:00", False),
        ("2026-01-04T23:00", False),
    ],
)
def test_the_window_is_the_guides_in_the_customers_time(utc: str, open_: bool) -> None:
    at = datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
    assert (window.refusal(WINDOW, at) == "") is open_
    assert window.refusal({}, at) == ""


HOSTS = [
    {"name": name, "site": name, "address": address, "roles": roles}
    for name, address, roles in (
        ("alpha", "192.0.2.1", ["edge", "database", "nameserver"]),
        ("bravo", "192.0.2.2", ["edge", "database", "nameserver"]),
        ("ops", "192.0.2.3", ["database", "nameserver"]),
    )
]
RULES = {"hosts": HOSTS, "here": "ops", "lag_max_mb": 1}
UNBROKEN = {"fault": None, "restoring": False}


def member(name: str, role: str, **changed: Any) -> dict[str, Any]:
    return {"name": name, "role": role, "state": "streaming", "lag": 0, **changed}


def seen(**changed: Any) -> Any:
    whole = {
        "members": [
            {"name": "alpha", "role": "leader", "state": "running"},
            member("bravo", "sync_standby"),
            member("ops", "replica"),
        ],
        "health": {"alpha": 200, "bravo": 200},
        "names": {"nameserver alpha": "alpha", "nameserver ops": "alpha", "resolver": "alpha"},
        "faults": {"alpha": UNBROKEN, "bravo": UNBROKEN},
    }
    return look.Seen(**{**whole, **changed})


LEADER = seen().members[0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"members": [member("alpha", "replica"), member("bravo", "replica")]}, "no database leads"),
        ({"members": [LEADER, member("bravo", "sync_standby")]}, "ops is no member"),
        ({"members": [LEADER, member("bravo", "sync_standby", lag=2 << 20), member("ops", "replica")]}, "lags"),
        ({"members": [LEADER, member("bravo", "sync_standby", lag="unknown"), member("ops", "replica")]}, "lags"),
        ({"members": [LEADER, member("bravo", "replica"), member("ops", "sync_standby")]}, "synchronous copy"),
        (
            {"members": [LEADER, member("bravo", "sync_standby"), member("ops", "replica", state="starting")]},
            "starting",
        ),
        ({"health": {"alpha": 200, "bravo": 503}}, "edge bravo answers 503"),
        ({"health": {"alpha": 0, "bravo": 200}}, "edge alpha answers nothing"),
        ({"names": {"resolver": "bravo"}}, "resolver leads to bravo"),
        ({"names": {"nameserver ops": "silence"}}, "nameserver ops leads to silence"),
        ({"faults": {"alpha": {"fault": {"kind": "dns-kill"}, "restoring": False}}}, "dns-kill stands on alpha"),
        ({"faults": {"bravo": {"fault": None, "restoring": True}}}, "a restore is under way on bravo"),
        ({"faults": {"bravo": Fault("Connection refused")}}, "bravo: Connection refused"),
    ],
)
def test_a_stack_that_is_not_well_is_not_broken_further(changed: dict[str, Any], words: str) -> None:
    found = look.unwell(RULES, seen(**changed))
    assert any(words in sentence for sentence in found), found


def test_a_stack_that_is_well_may_be_broken_where_an_edge_is() -> None:
    assert look.unwell(RULES, seen()) == []
    assert look.unwell(RULES, seen(), "bravo") == ["the database leads at alpha"]
    here = [
        {"name": "ops", "role": "leader", "state": "running"},
        member("alpha", "replica"),
        member("bravo", "sync_standby"),
    ]
    assert any("drills are held" in sentence for sentence in look.unwell(RULES, seen(members=here, names={})))


@pytest.mark.parametrize("kind", [*POLICY["failover_drill_fault_s"]])
def test_the_gate_lets_every_fault_and_a_switchover_through(kind: str) -> None:
    assert kind in fault.KINDS
    assert gate.words(f"fault begin {kind} --for 45") == ["fault", "begin", kind, "--for", "45"]
    assert gate.words("fault heal") and gate.words("fault status") and gate.words("switchover alpha 60")


@pytest.mark.parametrize(
    "asked",
    [
        "", "id", "sh", "fault", "fault hold", "fault heal; id", "fault heal\nid", "fault begin host-kill",
        "fault begin host-kill --for 0", "fault begin host-kill --for 9999", "fault begin rm --for 5",
        "fault  heal", "/opt/till-host/current/bin/fault heal", "switchover alpha", "switchover ../x 5",
        "switchover $(id) 5",
        "restore begin", "fault status ", "fault begin host-kill --for 45 && id",
    ],
)  # fmt: skip
def test_the_gate_lets_nothing_else_through(asked: str) -> None:
    assert gate.words(asked) == []


def test_silence_drops_all_but_loopback_and_the_sites_own_hosts() -> None:
    alone, with_peer = fault.rules([]), fault.rules(["192.0.2.9"])
    assert alone.count("drop") == with_peer.count("drop") == 3
    assert "iif lo accept" in alone and "oif lo accept" in alone and "192.0.2" not in alone
    assert "ip saddr { 192.0.2.9 } accept" in with_peer and "ip daddr { 192.0.2.9 } accept" in with_peer

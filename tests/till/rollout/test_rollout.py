"""A plan walked step by step: what lets it go on, what ends it, and that a lease is kept meanwhile."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest

from tests.till.rollouts import NEW, Clock, readings, rollout, silent
from till.errors import GateSaidNo, TillError
from till.platforms.vps import counters
from till.policy import thresholds
from till.rollout import rollout as rollouts
from till.rollout import usage_gate
from till.rollout.plan import Step
from till_host.judging.counts import Counts

POLICY = thresholds()["rollout"]
LOOK_S = POLICY["look_interval_s"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(rollouts, "time", found)
    monkeypatch.setattr(usage_gate, "gate", lambda rollout, phase: rollout.gate(phase, "usage", "pass", ""))
    return found


@pytest.fixture
def traffic(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Requests a second of a slot, and how many of the new release's are bad; a test may change them."""
    rates = {"old": 20.0, "new": 20.0, "bad": 0.0}
    began = clock.now

    def read(*_: Any) -> Any:
        past_s = clock.now - began
        new = round(rates["new"] * past_s)
        return readings(Counts(round(rates["old"] * past_s)), Counts(new, round(new * rates["bad"])))

    monkeypatch.setattr(counters, "read", read)
    return rates


@pytest.mark.usefixtures("traffic")
def test_the_lease_is_renewed_when_a_third_of_it_is_over(clock: Clock) -> None:
    one = rollout(clock)
    one.go((Step(50, 60),))
    at = [when for when, _ in one.edges.weighed]
    gaps = [later - earlier for earlier, later in pairwise([*at, clock.now])]
    assert max(gaps) <= POLICY["lease_s"] / 3 + LOOK_S
    assert min(gaps[:-1]) > POLICY["lease_s"] / 3
    assert [one.percent for one in one.record.steps] == [50]


@pytest.mark.usefixtures("traffic")
def test_the_lease_is_renewed_while_something_takes_its_time(clock: Clock) -> None:
    one = rollout(clock)
    one.policy = {**one.policy, "lease_s": 0.15}
    one.go((Step(100, 0),))
    before = len(one.edges.weighed)
    assert one.keeping(lambda: threading.Event().wait(0.4) or "told") == "told"
    renewed = [percent for _, percent in one.edges.weighed[before:]]
    assert len(renewed) >= 3 and set(map(repr, renewed)) == {"100"}


@pytest.mark.usefixtures("traffic")
def test_without_a_share_nothing_is_renewed_and_what_is_raised_goes_on(clock: Clock) -> None:
    one = rollout(clock)
    with pytest.raises(TillError, match="Prometheus does not answer"):
        one.keeping(silent)
    assert one.edges.weighed == []


@pytest.mark.usefixtures("traffic")
def test_each_share_is_held_and_then_follows_the_next(clock: Clock) -> None:
    one, began = rollout(clock), clock.now
    one.go((Step(25, 15), Step(50, 15), Step(100, 30)))
    assert one.edges.shares() == [25, 50, 100]
    first = {percent: at - began for at, percent in reversed(one.edges.weighed)}
    assert first[50] >= 15 and first[100] >= 30 and clock.now - began >= 60
    assert [gate.phase for gate in one.record.gates if gate.gate == "usage"] == ["25 %", "50 %", "100 %"]
    assert sum(sample.requests for sample in one.record.traffic) == 2 * 2 * 20 * round(clock.now - began)
    assert one.record.failed_requests == 0


@pytest.mark.parametrize("blind", ["unreached", "stale"])
def test_what_nobody_can_judge_ends_at_the_blind_deadline(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, blind: str
) -> None:
    old = readings(Counts(10), Counts(10), age_s=POLICY["stale_s"] + 1)
    monkeypatch.setattr(counters, "read", silent if blind == "unreached" else lambda *_: old)
    one, began = rollout(clock), clock.now
    why = "Prometheus does not answer" if blind == "unreached" else "a slot tells nothing fresh"
    with pytest.raises(GateSaidNo, match=f"nobody can judge {NEW}: {why} for"):
        one.go((Step(5, 600), Step(100, 30)))
    assert POLICY["blind_deadline_s"] < clock.now - began <= POLICY["blind_deadline_s"] + 2 * LOOK_S
    assert one.edges.shares() == [5]


def test_a_look_in_time_makes_blindness_begin_anew(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    began = clock.now

    def read(*_: Any) -> Any:
        past = int(clock.now - began)
        if past % (POLICY["blind_deadline_s"] - 2):
            raise TillError("busy")
        return readings(Counts(past), Counts(past))

    monkeypatch.setattr(counters, "read", read)
    rollout(clock).go((Step(100, 100),))
    assert clock.now - began >= 100


def test_a_step_that_proves_ends_as_insufficient_at_its_deadline(clock: Clock, traffic: dict[str, float]) -> None:
    traffic["new"] = 0
    one, began = rollout(clock), clock.now
    with pytest.raises(GateSaidNo, match=r"5 % for 120 s proved nothing: .*no requests yet"):
        one.go((Step(5, 30, True, 120), Step(100, 30)))
    assert one.record.verdict == "insufficient" and one.edges.shares() == [5]
    assert 120 < clock.now - began <= 120 + 2 * LOOK_S
    assert {gate.verdict for gate in one.record.gates if gate.gate == "errors"} == {"insufficient"}


def test_a_step_that_proves_goes_on_as_soon_as_it_is_proven(clock: Clock, traffic: dict[str, float]) -> None:
    traffic["new"] = 5
    one, began = rollout(clock), clock.now
    one.go((Step(5, 30, True, 1800), Step(100, 0)))
    first = {percent: at - began for at, percent in reversed(one.edges.weighed)}
    # 600 requests without an error, by ten a second.
    assert first[100] == pytest.approx(60, abs=3)


@pytest.mark.usefixtures("traffic")
def test_a_step_that_is_proven_at_once_is_held_all_the_same(clock: Clock) -> None:
    one, began = rollout(clock), clock.now
    one.go((Step(5, 90, True, 1800), Step(100, 0)))
    assert next(at for at, percent in one.edges.weighed if percent == 100) - began >= 90


def test_the_first_no_ends_the_walk(clock: Clock, traffic: dict[str, float]) -> None:
    traffic["bad"] = 1.0
    one, began = rollout(clock), clock.now
    with pytest.raises(GateSaidNo, match=r"errors: .* failed"):
        one.go((Step(5, 600), Step(100, 30)))
    assert one.edges.shares() == [5] and clock.now - began <= 2 * LOOK_S
    assert [gate.verdict for gate in one.record.gates if gate.gate == "errors"] == ["fail"]
    assert one.record.failed_requests


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("looks_before", [0, 10])
def test_a_lock_that_is_lost_ends_it_and_nothing_more_is_weighed(clock: Clock, looks_before: int) -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked > looks_before:
            raise TillError("this change has lost the lock")

    one = rollout(clock, check)
    with pytest.raises(TillError, match="lost the lock"):
        one.go((Step(5, 600), Step(100, 30)))
    assert all(at <= 1000 + looks_before * LOOK_S for at, _ in one.edges.weighed)
    assert one.edges.shares() == ([5] if looks_before else [])


@pytest.mark.usefixtures("traffic")
def test_what_the_release_takes_of_its_hosts_can_end_it(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_walk: Any, phase: str) -> None:
        raise GateSaidNo(f"memory at {phase}")

    monkeypatch.setattr(usage_gate, "gate", refuse)
    one = rollout(clock)
    with pytest.raises(GateSaidNo, match="memory at 25 %"):
        one.go((Step(25, 15), Step(100, 30)))
    assert one.edges.shares() == [25]

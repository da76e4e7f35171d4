"""No canary is failed for looking often, and none that is worse gets by: expectations exactly, rates by simulation."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest

from tests.till.canaries import ERRORS, after, steadily
from till_host.judging import e_values, evidence
from till_host.judging.counts import Counts
from till_host.judging.history import worse_e
from till_host.judging.judge import Rule, State, begin, verdict


def probability(counts: Counts, share: float) -> float:
    return math.comb(counts.requests, counts.bad) * share**counts.bad * (1 - share) ** counts.good


def expected_value(state: State, rule: Rule, beside_share: float, canary_share: float, sizes: tuple[int, int]) -> float:
    """The e-process for failing after one more look, over all that can come in it."""
    total = 0.0
    for bad_beside in range(sizes[0] + 1):
        for bad in range(sizes[1] + 1):
            beside, canary = Counts(sizes[0], bad_beside), Counts(sizes[1], bad)
            then = evidence.counted(state, state.seen_baseline + beside, state.seen_canary + canary, rule)
            total += probability(beside, beside_share) * probability(canary, canary_share) * then.failing
    return total


STATES = {
    "fresh": begin(ERRORS),
    "long well": after(ERRORS, (Counts(900, 4), Counts(100)), (Counts(2700, 9), Counts(300, 1)))[0],
    "suspected": after(ERRORS, (Counts(40), Counts(2, 1)), (Counts(90), Counts(3, 2)))[0],
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("sizes", [(4, 1), (3, 3), (1, 4)])
@pytest.mark.parametrize(("beside", "canary"), [(0.005, 0.005), (0.0, 0.001), (0.019, 0.02), (0.5, 0.02), (0.01, 0.0)])
def test_no_look_can_be_expected_to_fill_it_while_the_canary_is_as_allowed(
    name: str, sizes: tuple[int, int], beside: float, canary: float
) -> None:
    state = STATES[name]
    assert expected_value(state, ERRORS, beside, canary, sizes) <= state.failing * (1 + 1e-9)


@pytest.mark.parametrize("beside", [0.0, 0.003, 0.05, 0.3])
@pytest.mark.parametrize("sizes", [(4, 1), (3, 3), (1, 4)])
def test_a_comparison_does_not_know_what_it_bets_on(beside: float, sizes: tuple[int, int]) -> None:
    compared = replace(ERRORS, limit=None)
    for state in (begin(compared), steadily(compared, Counts(9, 1), Counts(1), 3)[0]):
        assert expected_value(state, compared, beside, beside + 0.001, sizes) <= state.failing * (1 + 1e-9)


def test_a_canary_above_the_limit_is_expected_to_fill_it() -> None:
    assert expected_value(STATES["fresh"], ERRORS, 0.2, 0.05, (4, 1)) > 1.005


def test_a_canary_that_is_worse_is_expected_to_fill_it_below_the_limit_too() -> None:
    without = replace(ERRORS, limit=None)
    state = steadily(without, Counts(450), Counts(50), 4)[0]
    assert expected_value(state, without, 0.001, 0.015, (9, 3)) > state.failing * 1.001


@pytest.mark.parametrize("margin", [0.0, 0.001, 0.05])
@pytest.mark.parametrize("sizes", [(9, 1), (3, 3), (1, 9)])
@pytest.mark.parametrize("good", [False, True])
def test_a_comparison_is_fair_at_every_edge_of_its_claim(margin: float, sizes: tuple[int, int], good: bool) -> None:
    bet_baseline = 0.03
    bet_canary = bet_baseline + margin / 4 if good else 0.4
    for share in (0.0, 0.004, 0.03, 0.3, 0.9):
        total = sum(
            probability(baseline, share)
            * probability(canary, share + margin)
            * math.exp(e_values.beside(canary, baseline, bet_canary, bet_baseline, margin))
            for baseline in (Counts(sizes[0], bad) for bad in range(sizes[0] + 1))
            for canary in (Counts(sizes[1], bad) for bad in range(sizes[1] + 1))
        )
        assert total <= 1 + 1e-9


def drawn(chance: random.Random, share: float, requests: int) -> Counts:
    return Counts(requests, sum(chance.random() < share for _ in range(requests)))


def outcomes(rule: Rule, beside: float, canary: float, runs: int, looks: int) -> list[str]:
    """The first verdict of each run that is not insufficient; passing does not end a run that goes on to fail."""
    chance = random.Random(20261125)
    found = []
    for _ in range(runs):
        state, seen = begin(rule), "insufficient"
        for _ in range(looks):
            baseline = state.seen_baseline + drawn(chance, beside, 40)
            state = evidence.counted(state, baseline, state.seen_canary + drawn(chance, canary, 10), rule)
            said = verdict(state, rule)
            seen = said if said != "insufficient" else seen
            if said == "fail":
                break
        found.append(seen)
    return found


def test_equal_releases_are_not_aborted_by_looking_often() -> None:
    assert outcomes(ERRORS, 0.005, 0.005, runs=40, looks=100).count("fail") == 0


def test_a_canary_with_ten_percent_of_errors_is_never_missed() -> None:
    assert outcomes(ERRORS, 0.005, 0.1, runs=50, looks=60).count("fail") == 50


def test_a_canary_at_twice_the_bound_does_not_pass() -> None:
    assert outcomes(ERRORS, 0.001, 0.01, runs=30, looks=60).count("pass") <= 1


STAKED = replace(ERRORS, limit=0.05, worse_by=None, stakes=((0.2, 0.65), (0.6, 0.05)))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.04, 0.05])
def test_stakes_on_some_shares_are_as_fair(share: float) -> None:
    for state in (begin(STAKED), after(STAKED, (Counts(), Counts(40, 1)), (Counts(), Counts(50, 6)))[0]):
        assert expected_value(state, STAKED, 0.0, share, (0, 5)) <= state.failing * (1 + 1e-9)
    assert expected_value(begin(STAKED), STAKED, 0.0, 0.3, (0, 5)) > 1.2


def test_stakes_that_are_more_than_all_or_below_the_limit_are_refused() -> None:
    for stakes in (((0.2, 1.0),), ((0.04, 0.5),)):
        with pytest.raises(ValueError, match="stakes"):
            replace(STAKED, stakes=stakes)


def test_a_state_is_kept_as_json() -> None:
    state = after(ERRORS, (Counts(900, 4), Counts(100)), (Counts(2700, 9), Counts(300, 1)))[0]
    assert evidence.from_json(json.loads(json.dumps(evidence.to_json(state)))) == state


@pytest.mark.parametrize(("was", "now"), [(0.0, 0.0), (0.01, 0.01), (0.05, 0.05), (0.3, 0.3), (0.3, 0.1), (0.9, 0.9)])
@pytest.mark.parametrize("sizes", [(12, 1), (12, 9), (3, 20)])
def test_a_comparison_with_before_is_fair_whatever_both_shares_are(
    was: float, now: float, sizes: tuple[int, int]
) -> None:
    stakes = ((0.25, 0.85), (0.6, 0.15))
    total = sum(
        probability(earlier, was) * probability(today, now) * worse_e(earlier, today, 0.05, stakes)
        for earlier in (Counts(sizes[0], bad) for bad in range(sizes[0] + 1))
        for today in (Counts(sizes[1], bad) for bad in range(sizes[1] + 1))
    )
    assert total <= 1 + 1e-9


def test_a_comparison_with_before_finds_what_is_worse_and_knows_how_little_few_say() -> None:
    stakes = ((0.25, 0.85), (0.6, 0.15))
    assert worse_e(Counts(100, 4), Counts(30, 9), 0.05, stakes) > 50
    assert worse_e(Counts(5), Counts(30, 9), 0.05, stakes) < 5
    assert worse_e(Counts(), Counts(30, 30), 0.05, stakes) == 0

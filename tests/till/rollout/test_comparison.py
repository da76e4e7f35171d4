"""A canary looked at second by second, by readings that were made by hand."""

from __future__ import annotations

import pytest

from tests.till.rollouts import INTENTS, NEW, OLD, readings
from till.policy import thresholds
from till.rollout.comparison import ReleaseComparison
from till_host.judging import judge
from till_host.judging.counts import Counts
from till_host.judging.tally import CounterSum

STALE_S = 5


@pytest.fixture
def comparison() -> ReleaseComparison:
    old, new = (CounterSum(tuple((host, slot) for host in INTENTS)) for slot in ("blue", "green"))
    found = ReleaseComparison(judge.rules(thresholds()["judge"]), old, new, (OLD, NEW))
    assert found.look(readings(Counts(1000), Counts()), STALE_S)
    return found


def test_what_was_counted_before_it_was_looked_at_is_not_its_own(comparison: ReleaseComparison) -> None:
    assert comparison.old.total["errors"] == Counts()
    assert comparison.failed() is None and not comparison.proven() and comparison.failed_requests == 0


def test_a_bad_canary_fails_after_a_few_requests(comparison: ReleaseComparison) -> None:
    for second in range(1, 4):
        comparison.look(readings(Counts(1000 + 9 * second), Counts(second, second)), STALE_S)
        if found := comparison.failed():
            break
    assert found and found[0] == "errors" and found[1].verdict == "fail"
    assert comparison.new.total["errors"].requests <= 6


def test_a_good_canary_is_proven_by_600_requests_and_not_by_500(comparison: ReleaseComparison) -> None:
    comparison.look(readings(Counts(2000), Counts(250)), STALE_S)
    assert not comparison.proven()
    comparison.look(readings(Counts(2000), Counts(300)), STALE_S)
    assert comparison.proven()


def test_nothing_is_proven_without_a_request(comparison: ReleaseComparison) -> None:
    comparison.look(readings(Counts(9000), Counts()), STALE_S)
    assert comparison.said["errors"].verdict == "insufficient" and not comparison.proven()


def test_each_measure_that_the_release_tells_of_must_pass(comparison: ReleaseComparison) -> None:
    comparison.look(readings(Counts(1000), Counts(), slow=Counts(0)), STALE_S)
    comparison.look(readings(Counts(2000), Counts(400), slow=Counts(3)), STALE_S)
    assert comparison.said["errors"].verdict == "pass" and comparison.said["slow"].verdict == "insufficient"
    assert not comparison.proven()
    comparison.look(readings(Counts(2000), Counts(400), slow=Counts(400)), STALE_S)
    # Of payments it tells nothing.
    assert comparison.said["slow"].verdict == "pass" and comparison.said["payments"].verdict == "insufficient"
    assert comparison.proven()


def test_samples_add_up_to_what_was_counted(comparison: ReleaseComparison) -> None:
    samples = comparison.samples(0)
    for second in range(1, 5):
        comparison.look(readings(Counts(1000 + 7 * second, second), Counts(3 * second)), STALE_S)
        samples += comparison.samples(second)
    assert comparison.samples(5)[0].requests == 0
    by_version = {
        version: (
            sum(one.requests for one in samples if one.version == version),
            sum(one.errors for one in samples if one.version == version),
        )
        for version in (OLD, NEW)
    }
    assert by_version == {OLD: (2 * 28, 2 * 4), NEW: (2 * 12, 0)}
    assert comparison.failed_requests == 8


def test_a_slot_that_starts_anew_takes_nothing_back(comparison: ReleaseComparison) -> None:
    comparison.look(readings(Counts(2000), Counts(300, 1)), STALE_S)
    comparison.look(readings(Counts(2000), Counts(4, 1)), STALE_S)
    assert comparison.new.total["errors"] == Counts(608, 4)
    assert sum(one.requests for one in comparison.samples(1) if one.version == NEW) == 608


@pytest.mark.parametrize("gone", ["green", "blue"])
def test_a_side_that_tells_nothing_fresh_is_not_judged(comparison: ReleaseComparison, gone: str) -> None:
    before = dict(comparison.said)
    found = readings(Counts(2000), Counts(500, 500))
    assert not comparison.look({place: one for place, one in found.items() if place != ("bravo", gone)}, STALE_S)
    assert not comparison.look(readings(Counts(2000), Counts(500, 500), age_s=STALE_S + 1), STALE_S)
    assert comparison.said == before

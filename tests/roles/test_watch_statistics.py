"""How often the watch takes a healthy release back, and how soon a bad one: some of what benchmarks/watch.py draws."""

from __future__ import annotations

import random
from collections import deque

import pytest

from benchmarks import watch as bench
from tests.roles.shops import POLICY, START, Shop
from till_host.judging.counts import Counts
from till_host.release_watch import evidence

RULE = POLICY.rules[bench.PAYMENTS]
SEED = 20261201


def judged(hour: list[tuple[float, bool]], before: Counts) -> bool:
    """Whether the watch takes it back, looked at at each payment."""
    measure = evidence.begun(RULE)
    for _, is_bad in hour:
        measure = evidence.settle(measure, bench.BAD if is_bad else bench.GOOD, RULE)
        if bench.reached(measure, before, POLICY) == "immediate":
            return True
    return False


def above_threshold(hour: list[tuple[float, bool]]) -> bool:
    """The thresholds of before (ADR 21): over 20 % of 10 payments or more in 60 or 900 s, for 10 s without a break."""
    for window_s in (60, 900):
        window: deque[tuple[float, bool]] = deque()
        bad, since, coming = 0, None, deque(hour)
        for second in range(3600):
            while coming and coming[0][0] <= second:
                window.append(coming.popleft())
                bad += window[-1][1]
            while window and window[0][0] <= second - window_s:
                bad -= window.popleft()[1]
            if len(window) >= 10 and bad >= 3 and bad > 0.2 * len(window):
                since = second if since is None else since
                if second - since >= 10:
                    return True
            else:
                since = None
    return False


def drawn_hour(chance: random.Random, rate_per_min: int, ratio: float) -> list[tuple[float, bool]]:
    """Payments at random times of an hour, and whether each fails."""
    times = sorted(chance.uniform(0, 3600) for _ in range(60 * rate_per_min))
    return [(at, chance.random() < ratio) for at in times]


def test_healthy_hours_that_the_thresholds_of_before_took_back_are_left_alone() -> None:
    chance = random.Random(SEED)
    hours = [(drawn_hour(chance, 10, 0.04), bench.drawn_history(chance, 0.04, 100)) for _ in range(60)]
    assert sum(above_threshold(hour) for hour, _ in hours) >= 12
    assert not any(judged(hour, before) for hour, before in hours)


@pytest.mark.parametrize("rate_per_min", [10, 100])
def test_no_healthy_hour_is_taken_back_whatever_its_history_says(rate_per_min: int) -> None:
    chance, case = random.Random(SEED), bench.Hour(rate_per_min, 0.04)
    hours = [bench.healthy(chance, case, POLICY) for _ in range(100)]
    assert {verdict for hour in hours for verdict in hour.values()} == {""}


def test_a_lucky_history_condemns_nobody() -> None:
    chance = random.Random(SEED)
    hours = [drawn_hour(chance, 10, 0.04) for _ in range(60)]
    assert not any(judged(hour, Counts(1000)) for hour in hours)


@pytest.mark.parametrize("natural", bench.NATURAL)
def test_a_release_at_30_percent_goes_after_30_payments_and_60_at_most_nearly_always(natural: float) -> None:
    chance = random.Random(SEED)
    found = bench.figures([bench.detected(chance, bench.Break(natural, 100), POLICY) for _ in range(600)])
    assert found["median_payments"] <= 30 and found["p95_payments"] <= 60


def test_one_that_breaks_after_a_third_of_an_hour_goes_too() -> None:
    chance = random.Random(SEED)
    found = bench.figures([bench.detected(chance, bench.Break(0.04, 100, 200), POLICY) for _ in range(200)])
    assert found["missed_ratio"] == 0 and found["median_payments"] <= 60 and found["p95_payments"] <= 100


def test_good_payments_taken_together_are_the_same_as_one_by_one_and_raise_nothing() -> None:
    chance, together = random.Random(SEED), evidence.begun(RULE)
    single = together
    for _ in range(40):
        good = chance.randrange(60)
        together = bench.settle_good(together, good, POLICY)
        for _ in range(good):
            was, single = single, evidence.settle(single, bench.GOOD, RULE)
            assert single.allowed.failing <= was.allowed.failing * (1 + 1e-12)
        assert together.allowed.over == pytest.approx(single.allowed.over)
        assert together.allowed.reserve == pytest.approx(single.allowed.reserve)
        assert (together.recent, together.allowed.canary) == (single.recent, single.allowed.canary)
        assert together.drift == pytest.approx(single.drift)
        together, single = (evidence.settle(one, bench.BAD, RULE) for one in (together, single))


def test_decide_takes_back_at_the_payment_that_the_benchmark_says_once_its_lag_is_over() -> None:
    """A payment a second, looked at by `decide` itself."""
    for seed in range(5):
        chance = random.Random(seed)
        before = bench.drawn_history(chance, 0.04, 100)
        payments = [chance.random() < bench.BAD_RATIO for _ in range(200)]
        measure, expected = evidence.begun(RULE), 0
        for is_bad in payments:
            expected += 1
            measure = evidence.settle(measure, bench.BAD if is_bad else bench.GOOD, RULE)
            if bench.reached(measure, before, POLICY) == "immediate":
                break
        shop = Shop(before={"payments": before})
        for is_bad in payments:
            shop.count(payments=bench.BAD if is_bad else bench.GOOD)
            if shop.look().action == "rollback":
                break
        # The look at START begins, and the decision's own second has passed.
        assert shop.now - 1 - START == expected + POLICY.lag_s

"""Measures how often the watch of a release's first hour is wrong. Part of `python -m benchmarks.judge`. See README.md.

Draws payments of healthy and of bad releases and what the old one had before the deploy, and lets the watch's own
functions judge after each payment: what is counted is settled by `release_watch.evidence.settle`, and the verdict is
`release_watch.verdicts.find`, which `decide` asks at each look. Only runs of good payments are taken together, by the
same formula; a good payment raises no e-value, so nothing can be reached within them (tests hold both).
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from till.policy import thresholds
from till_host.judging import evidence as judged
from till_host.judging import judge
from till_host.judging.counts import NOTHING, Counts
from till_host.judging.evidence import LAID_PART, State
from till_host.judging.rules import Rule
from till_host.release_watch import evidence, verdicts
from till_host.release_watch import policy as policies
from till_host.release_watch.evidence import Measure
from till_host.release_watch.policy import CONSIDER, IMMEDIATE, Policy

SEED = 20261201
HOURS = 3000
PAYMENTS = "payments"
RATES_PER_MIN = (1, 10, 100)
NATURAL = (0.01, 0.04)
HISTORIES = (0, 20, 100, 1000)
# Above what policy allows at all (5 %) only false_worse_max_ratio holds, so what that comes to is measured, too.
ABOVE_ALLOWED = 0.08
BAD_RATIO = 0.30
BAD_RUNS = 1000
BAD_PAYMENTS_MAX = 2000
GOOD, BAD = Counts(1), Counts(1, 1)


@dataclass(frozen=True)
class Hour:
    """A healthy hour: payments a minute, and the share of them that fails."""

    rate_per_min: int
    natural_ratio: float


@dataclass(frozen=True)
class Break:
    """A release at BAD_RATIO after `well` payments at the natural share."""

    natural_ratio: float
    history: int
    well: int = 0


HEALTHY = tuple(Hour(rate, ratio) for ratio in (*NATURAL, ABOVE_ALLOWED) for rate in RATES_PER_MIN)
BREAKS = (
    *(Break(ratio, history) for history in (20, 100, 1000) for ratio in NATURAL),
    *(Break(ratio, 100, well) for well in (200, 2000) for ratio in NATURAL),
    Break(0.04, 0),
)


def drawn_history(chance: random.Random, ratio: float, requests: int) -> Counts:
    """What the old release did before the deploy: a sample, too."""
    return Counts(requests, sum(chance.random() < ratio for _ in range(requests)))


def good_ones(chance: random.Random, ratio: float) -> int:
    """How many good payments come before the next bad one."""
    return int(math.log(1 - chance.random()) / math.log1p(-ratio))


def settle_good(measure: Measure, payments: int, policy: Policy) -> Measure:
    """The measure after so many good payments, each with its look."""
    if not payments:
        return measure
    rule = policy.rules[PAYMENTS]
    drift = measure.drift + payments * evidence.drift_by(GOOD, rule)
    return replace(
        measure,
        allowed=_good(measure.allowed, payments, rule.allowed),
        sure={name: _good(state, payments, rule.sure[name]) for name, state in measure.sure.items()},
        recent=measure.recent + Counts(payments) if drift > 0 else NOTHING,
        drift=max(0.0, drift),
    )


def _good(state: State, payments: int, rule: Rule) -> State:
    """Each look lays a part of the reserve, and each good payment costs every bet the same part: a geometric series."""
    kept, claim = 1 - LAID_PART, rule.limit or 0.0
    laid = state.reserve * LAID_PART / len(state.over)
    left = [(1 - share) / (1 - claim) for share in judged.over_shares(rule)]
    over = tuple(
        capital * part**payments + laid * part * (part**payments - kept**payments) / (part - kept)
        for capital, part in zip(state.over, left, strict=True)
    )
    reserve = state.reserve * kept**payments
    return replace(state, reserve=reserve, over=over, canary=state.canary + Counts(payments))


def healthy(chance: random.Random, case: Hour, policy: Policy) -> dict[int, str]:
    """By size of the history the worst verdict of an hour in which nothing is worse than before; "" is none.

    The payments of the hour are the same for each size, and each history is drawn for itself.
    """
    before = {size: drawn_history(chance, case.natural_ratio, size) for size in HISTORIES}
    measure, left, worst = evidence.begun(policy.rules[PAYMENTS]), 60 * case.rate_per_min, dict.fromkeys(HISTORIES, "")
    while True:
        good = good_ones(chance, case.natural_ratio)
        if good >= left:
            return worst
        left -= good + 1
        measure = settle_good(measure, good, policy)
        measure = evidence.settle(measure, BAD, policy.rules[PAYMENTS])
        for size, counts in before.items():
            if worst[size] != IMMEDIATE:
                worst[size] = reached(measure, counts, policy) or worst[size]


def reached(measure: Measure, before: Counts, policy: Policy) -> str:
    """The level that the watch says is reached."""
    rule = policy.rules[PAYMENTS]
    # The watch asks this first, too; the rest only words what follows from it.
    if not judge.fails(measure.allowed, rule.allowed):
        return ""
    verdict = verdicts.find(measure, before, rule, policy).verdict
    return verdict if verdict in (CONSIDER, IMMEDIATE) else ""


def detected(chance: random.Random, case: Break, policy: Policy) -> int | None:
    """Payments from the break until the release is to be taken back (0 and less: before it); None: it never is."""
    rule, before = policy.rules[PAYMENTS], drawn_history(chance, case.natural_ratio, case.history)
    measure, payments = evidence.begun(rule), -case.well
    for ratio, end in ((case.natural_ratio, 0), (BAD_RATIO, BAD_PAYMENTS_MAX)):
        while payments < end:
            good = min(good_ones(chance, ratio), end - payments)
            measure, payments = settle_good(measure, good, policy), payments + good
            if payments < end:
                measure, payments = evidence.settle(measure, BAD, rule), payments + 1
                if reached(measure, before, policy) == IMMEDIATE:
                    return payments
    return None


def measured(hours: int = HOURS, breaks: int = BAD_RUNS) -> dict[str, Any]:
    """False verdicts of healthy hours, and payments until a bad release goes."""
    policy, found_hours, found_breaks = policies.policy(thresholds()), [], []
    for case in HEALTHY:
        chance = random.Random(SEED)  # noqa: S311 - repeatable, and no secret
        said = [healthy(chance, case, policy) for _ in range(hours)]
        for size in HISTORIES:
            verdicts_said = [one[size] for one in said]
            counted = {"taken_back": verdicts_said.count(IMMEDIATE), "people_asked": verdicts_said.count(CONSIDER)}
            found_hours.append({**asdict(case), "history": size, "hours": hours, **counted})
    for one in BREAKS:
        chance = random.Random(SEED)  # noqa: S311 - repeatable, and no secret
        found_breaks.append({**asdict(one), **figures([detected(chance, one, policy) for _ in range(breaks)])})
    return {"bad_ratio": BAD_RATIO, "lag_s": policy.lag_s, "hours": found_hours, "breaks": found_breaks}


def figures(until: Sequence[int | None]) -> dict[str, Any]:
    """Of all runs; one that was never detected took more payments than were drawn."""
    known = sorted(BAD_PAYMENTS_MAX + 1 if one is None else one for one in until)
    return {
        "runs": len(known),
        "early_ratio": sum(one <= 0 for one in known) / len(known),
        "missed_ratio": sum(one is None for one in until) / len(known),
        "median_payments": statistics.median(known),
        "p95_payments": known[math.ceil(0.95 * len(known)) - 1],
    }

"""Canaries that were looked at, for the tests of their judge."""

from __future__ import annotations

from till.policy import thresholds
from till_host.judging.counts import Counts
from till_host.judging.judge import Judgement, Rule, State, begin, look, rules

RULES = rules(thresholds()["judge"])
ERRORS = RULES["errors"]


def after(rule: Rule, *readings: tuple[Counts, Counts]) -> tuple[State, Judgement]:
    """The last judgement of some looks."""
    state = begin(rule)
    for baseline, canary in readings:
        state, judgement = look(state, baseline, canary, rule, "v1.0.0")
    return state, judgement


def steadily(rule: Rule, baseline: Counts, canary: Counts, looks: int) -> tuple[State, Judgement]:
    """The last judgement where each look adds the same."""
    return after(
        rule,
        *(
            (
                Counts(baseline.requests * number, baseline.bad * number),
                Counts(canary.requests * number, canary.bad * number),
            )
            for number in range(1, looks + 1)
        ),
    )

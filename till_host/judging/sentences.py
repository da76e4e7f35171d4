"""Judgements as sentences. Pure."""

from __future__ import annotations

import math

from till_host.judging.counts import Counts
from till_host.judging.rules import Rule


def shares(canary: Counts, baseline: Counts, rule: Rule, beside: str) -> str:
    """What was counted on both releases."""
    there = f"{baseline.bad} of {baseline.requests}" if baseline.requests else f"no {rule.noun}"
    told = f" ({_percent(baseline.bad_ratio)})" if baseline.requests else ""
    if not canary.requests:
        return f"no {rule.noun} yet, {there} on {beside}{told}"
    here = f"{canary.bad} of {canary.requests} {rule.noun} {rule.bad} ({_percent(canary.bad_ratio)})"
    return f"{here}, {there} on {beside}{told}"


def failed(rule: Rule, certainty: float, *, above_limit: bool) -> str:
    """Why it failed; the stronger of both reasons."""
    reason = f"above the limit of {_round(rule.limit)}" if above_limit and rule.limit is not None else "worse"
    return f"{reason} with {certain(certainty)} certainty"


def suspected(rule: Rule, certainty: float, *, above_limit: bool) -> str:
    """Why it neither passes nor fails although much speaks against it."""
    return f"{failed(rule, certainty, above_limit=above_limit)}, not enough to fail and too much to pass"


def passed(rule: Rule, certainty: float) -> str:
    """Why it passed."""
    return f"{_aim(rule)} with {certain(certainty)} certainty"


def undecided(rule: Rule, certainty: float, needed_requests: int | None) -> str:
    """How sure it is that it is good, and what is missing."""
    if needed_requests is None:
        missing = f"too many failed for more good {rule.noun} to make up soon"
    else:
        missing = f"about {needed_requests} more good {rule.noun} would do"
    sure = (
        f"{_aim(rule)} with only {certain(certainty)} certainty"
        if certainty
        else f"nothing says yet that it is {_aim(rule)}"
    )
    return f"{sure}, {missing}"


def _aim(rule: Rule) -> str:
    if rule.no_worse_by is None:
        return f"below {_round(rule.bound)}"
    return f"worse by less than {rule.no_worse_by * 100:g} points"


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.1f} %"


def _round(ratio: float | None) -> str:
    return f"{(ratio or 0.0) * 100:g} %"


def certain(certainty: float) -> str:
    """Rounded down, so that nothing is told to be certain that is not."""
    return f"{math.floor(certainty * 1000) / 10:.1f} %"

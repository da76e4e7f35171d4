"""What the evidence says of one measure of a watched release. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from till_host.judging import evidence, rules, sentences
from till_host.judging.counts import Counts
from till_host.judging.e_values import FACTOR_LOG_MAX, WORST_RATIO, alone, certainty
from till_host.judging.history import worse_e
from till_host.judging.judge import fails, verdict
from till_host.judging.sentences import certain
from till_host.release_watch.evidence import Measure
from till_host.release_watch.policy import Policy, Rule

PASS, INSUFFICIENT, HELD = "pass", "insufficient", "held"
BEFORE = "the old release before the deploy"


@dataclass(frozen=True)
class Found:
    """`reason`: the end of the sentence where something is bad. `unsure`: people are told, since nobody can judge."""

    verdict: str
    reason: str = ""
    unsure: bool = False


def find(measure: Measure, before: Counts, rule: Rule, policy: Policy) -> Found:
    """The verdict; every look at every request may ask for it.

    A level is reached in two ways. Fast: it is certain that more fail than is allowed at all, and that it is worse than
    what was before, and of the recent requests more fail than the level. Sure: it is certain that more fail than the
    level; then the old release excuses it only if it was above that level itself.
    """
    if not fails(measure.allowed, rule.allowed):
        return Found(verdict(measure.allowed, rule.allowed))
    above = _above(rule.allowed.limit, certainty(measure.allowed.failing))
    reached = [level for level, ratio in rule.levels.items() if measure.recent.bad_ratio > ratio]
    if not reached:
        return Found(INSUFFICIENT, f"{above}, and not bad enough to act")
    if _as_bad_beside(measure, rule) >= policy.beside_e:
        old = measure.beside
        return Found(HELD, f"{above}; {old.bad} of {old.requests} on the old release beside it")
    known = before.requests >= policy.history_min
    worse = worse_e(before, measure.recent, rule.allowed.bound, rule.stakes)
    for level in reached:
        if worse >= policy.worse_e:
            return Found(level, f"{above}, worse than before with {certain(certainty(worse))}")
        if fails(measure.sure[level], rule.sure[level]):
            if known and before.bad_ratio > rule.levels[level]:
                return Found(HELD, "it was no better before the deploy")
            return Found(level, _above(rule.sure[level].limit, certainty(measure.sure[level].failing)))
    if known:
        return Found(INSUFFICIENT, f"{above}, not yet certain to be worse than before")
    return Found(INSUFFICIENT, f"{above}, too few before the deploy to compare with", True)


def describe(measure: Measure, before: Counts, rule: Rule, found: Found) -> str:
    """The sentence: what was counted, and what it says."""
    counted = sentences.shares(measure.allowed.canary, before, rule.allowed, BEFORE)
    recent = measure.recent
    if found.reason and recent != measure.allowed.canary:
        counted += f", {recent.bad} of the last {recent.requests}"
    if found.reason:
        return f"{counted}: {found.reason}"
    return f"{counted}: {_describe_good(measure.allowed.canary, rule.allowed, passed=found.verdict == PASS)}"


# Most looks find what the one before has found, and how many are missing is a search.
@lru_cache(maxsize=64)
def _describe_good(counts: Counts, allowed: rules.Rule, *, passed: bool) -> str:
    state = replace(evidence.begin(allowed), canary=counts)
    good = certainty(evidence.passing(state, allowed))
    if passed:
        return sentences.passed(allowed, good)
    return sentences.undecided(allowed, good, evidence.needed(state, allowed))


def _as_bad_beside(measure: Measure, rule: Rule) -> float:
    """How many times likelier the old release beside it fails as much as the new one than as little as is allowed."""
    claim = rule.allowed.limit or 0.0
    share = min(max(measure.recent.bad_ratio, claim), WORST_RATIO)
    return math.exp(min(alone(measure.beside, share, claim), FACTOR_LOG_MAX)) if measure.beside.requests else 0.0


def _above(limit: float | None, sure: float) -> str:
    return f"above {(limit or 0.0) * 100:g} % with {certain(sure)} certainty"

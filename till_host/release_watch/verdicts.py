"""What the evidence says of one measure of a watched release. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from till_host.judging import evidence, sentences
from till_host.judging.counts import Counts
from till_host.judging.e_values import certainty
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
    if measure.witness.failing >= 1 / rule.allowed.pass_alpha:
        old = measure.witness.canary
        beside = f"{old.bad} of {old.requests} on the old release beside it"
        return Found(HELD, f"{above}; {beside}")
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
    good = certainty(evidence.passing(measure.allowed, rule.allowed))
    if found.verdict == PASS:
        return f"{counted}: {sentences.passed(rule.allowed, good)}"
    return f"{counted}: {sentences.undecided(rule.allowed, good, evidence.needed(measure.allowed, rule.allowed))}"


def _above(limit: float | None, sure: float) -> str:
    return f"above {(limit or 0.0) * 100:g} % with {certain(sure)} certainty"

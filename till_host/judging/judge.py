"""Is a new release worse than allowed, good, or is it too early to tell? Valid however often one looks. Pure.

One e-process (`e_values`) grows where the release is above a fixed limit or worse than the one beside it: it fails at
1/alpha. Another grows where it is good: it passes by that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from till_host.judging import e_values, evidence, sentences
from till_host.judging.counts import Counts
from till_host.judging.evidence import State, begin
from till_host.judging.rules import Rule, rules

__all__ = ["Counts", "Judgement", "Rule", "State", "Verdict", "begin", "fails", "look", "rules", "verdict"]

Verdict = Literal["pass", "fail", "insufficient"]


@dataclass(frozen=True)
class Judgement:
    """A verdict, its sentence, and for reports counts, e-values (`_e`) and certainties (`_ratio`)."""

    verdict: Verdict
    sentence: str
    numbers: dict[str, float | None]


def look(
    state: State, baseline: Counts, canary: Counts, rule: Rule, beside: str = "the old release"
) -> tuple[State, Judgement]:
    """The next state and what it says; `baseline` and `canary` are the counters as they are now.

    Each is one program's counter, or a sum that grows by what each program's has grown: a plain sum hides that one of
    them started anew. A certainty is 1 - 1/e: of a canary that is not so, some look ever says so with a probability
    of 1/e at most.
    """
    state = evidence.counted(state, baseline, canary, rule)
    over, worse, failing = sum(state.over), sum(state.worse), state.failing
    passing, needed = evidence.passing(state, rule), evidence.needed(state, rule)
    bad, good = e_values.certainty(failing), e_values.certainty(passing)
    found = verdict(state, rule)
    if found == "pass":
        reason = sentences.passed(rule, good)
    elif found == "fail":
        reason = sentences.failed(rule, bad, above_limit=over >= worse)
    elif _suspected(state, rule):
        reason = sentences.suspected(rule, bad, above_limit=over >= worse)
    else:
        reason = sentences.undecided(rule, good, needed)
    return state, Judgement(
        found,
        f"{sentences.shares(state.canary, state.baseline, rule, beside)}: {reason}",
        {
            "canary_requests": state.canary.requests,
            "canary_bad": state.canary.bad,
            "baseline_requests": state.baseline.requests,
            "baseline_bad": state.baseline.bad,
            "fail_e": failing,
            "over_limit_e": over,
            "worse_e": worse,
            "pass_e": passing,
            "fail_certainty_ratio": bad,
            "pass_certainty_ratio": good,
            "needed_requests": needed,
        },
    )


def verdict(state: State, rule: Rule) -> Verdict:
    """What the e-processes say."""
    if fails(state, rule):
        return "fail"
    if evidence.passing(state, rule) >= 1 / rule.pass_alpha and not _suspected(state, rule):
        return "pass"
    return "insufficient"


def fails(state: State, rule: Rule) -> bool:
    """Whether it is certain enough that the release is worse than allowed."""
    return state.failing >= 1 / rule.fail_alpha and state.canary.bad >= rule.least_bad


def _suspected(state: State, rule: Rule) -> bool:
    """What is good on the whole may have broken just now: then it does not pass."""
    return state.failing >= 1 / rule.pass_alpha

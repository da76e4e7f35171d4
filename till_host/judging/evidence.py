"""The two e-processes of a release: one bets that it is worse than allowed, one that it is good. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from till_host.judging import e_values
from till_host.judging.counts import NOTHING, Counts, since
from till_host.judging.rules import Rule

# A canary that breaks late must not have to win back what bets on it lost while it was well: half the stake waits,
# and lays this part of itself at each look with traffic. The bets then are a mixture over the times of their start,
# at the price of log(1/part) (Shin, Ramdas and Rinaldo, 2023).
RESERVE = 0.5
LAID_PART = 1 / 500
# What a good canary's share may be: parts of the bound, and parts of the margin above the release beside it.
BELOW_BOUND = (0.0, 0.1, 0.3, 0.6)
WITHIN_MARGIN = (0.0, 0.2, 0.5)
# More than this no step waits for.
NEEDED_MAX = 1_000_000


@dataclass(frozen=True)
class State:
    """What was counted, and what the bets have become: of a stake of 1 for failing, and of one for `no_worse`."""

    seen_baseline: Counts
    seen_canary: Counts
    reserve: float
    over: tuple[float, ...]
    worse: tuple[float, ...]
    no_worse: tuple[float, ...]
    baseline: Counts = NOTHING
    canary: Counts = NOTHING
    # A comparison needs traffic on both sides, so that one side's waits for the other's.
    compared_baseline: Counts = NOTHING
    compared_canary: Counts = NOTHING

    @property
    def failing(self) -> float:
        return self.reserve + sum(self.over) + sum(self.worse)


def begin(rule: Rule, baseline: Counts = NOTHING, canary: Counts = NOTHING) -> State:
    """The state before the first look. The counters as they are by then are left out of every judgement."""
    if rule.stakes:
        over = tuple(stake for _, stake in rule.stakes)
        return State(baseline, canary, 1 - sum(over), over, (), e_values.even(1.0, len(WITHIN_MARGIN)))
    sides = [side is not None for side in (rule.limit, rule.worse_by)]
    each = (1 - RESERVE) / sum(sides)
    over, worse = (e_values.even(each, len(e_values.STEPS)) if side else () for side in sides)
    return State(baseline, canary, RESERVE, over, worse, e_values.even(1.0, len(WITHIN_MARGIN)))


def counted(state: State, baseline: Counts, canary: Counts, rule: Rule) -> State:
    """The state after one more reading of both counters."""
    new_baseline, new_canary = since(state.seen_baseline, baseline), since(state.seen_canary, canary)
    changed: dict[str, Any] = {}
    if new_baseline is not None and baseline != state.seen_baseline:
        changed = {"seen_baseline": baseline, "baseline": state.baseline + new_baseline}
    if new_canary is not None and canary != state.seen_canary:
        changed |= {"seen_canary": canary, "canary": state.canary + new_canary}
    if new_canary is not None and new_canary.requests:
        changed |= _over_settled(state, new_canary, rule)
    if not changed:
        return state
    return _compared(replace(state, **changed), rule)


def added(state: State, canary: Counts, rule: Rule) -> State:
    """The state after more requests of a release that nothing runs beside."""
    if not canary.requests:
        return state
    return replace(state, canary=state.canary + canary, **_over_settled(state, canary, rule))


def to_json(state: State) -> dict[str, Any]:
    """What `from_json` makes the same state of."""
    return asdict(state)


def from_json(kept: dict[str, Any]) -> State:
    """Raises KeyError, TypeError, ValueError where it is no state."""
    values: dict[str, Any] = {
        name: Counts(**one) if isinstance(one, dict) else tuple(one) if isinstance(one, list | tuple) else one
        for name, one in kept.items()
    }
    return State(**values)


def passing(state: State, rule: Rule, more: int = 0) -> float:
    """The e-process for passing, if `more` good requests came and the release beside it went on as so far."""
    if rule.no_worse_by is None:
        canary = state.canary + Counts(more)
        stakes = e_values.staked(rule.flawless_stake, len(BELOW_BOUND))
        shares = [part * rule.bound for part in BELOW_BOUND]
        return sum(
            e_values.grown(stake, e_values.alone(canary, share, rule.bound))
            for stake, share in zip(stakes, shares, strict=True)
        )
    if not more or not state.compared_canary.requests:
        return sum(state.no_worse)
    scale = more / state.compared_canary.requests
    beside = state.compared_baseline
    expected = Counts(math.ceil(beside.requests * scale), math.floor(beside.bad * scale))
    return sum(_no_worse(state, expected, Counts(more), rule))


def needed(state: State, rule: Rule) -> int | None:
    """About how many more good requests a pass takes; None above NEEDED_MAX."""
    wanted = 1 / rule.pass_alpha
    most = 1
    while passing(state, rule, most) < wanted:
        most *= 2
        if most > NEEDED_MAX:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if passing(state, rule, middle) >= wanted else (middle, most)
    return most


def _over_settled(state: State, canary: Counts, rule: Rule) -> dict[str, Any]:
    changed = _laid(state)
    if rule.limit is not None:
        changed["over"] = e_values.settled(changed["over"], over_shares(rule), canary, rule.limit)
    return changed


def over_shares(rule: Rule) -> tuple[float, ...]:
    """What is bet on above the limit."""
    return tuple(share for share, _ in rule.stakes) or e_values.above(rule.limit or 0.0)


def _laid(state: State) -> dict[str, Any]:
    paid = state.reserve * LAID_PART
    each = paid / (len(state.over) + len(state.worse))
    return {
        "reserve": state.reserve - paid,
        "over": tuple(capital + each for capital in state.over),
        "worse": tuple(capital + each for capital in state.worse),
    }


def _compared(state: State, rule: Rule) -> State:
    if rule.worse_by is None and rule.no_worse_by is None:
        return state
    baseline, canary = state.baseline - state.compared_baseline, state.canary - state.compared_canary
    if not baseline.requests or not canary.requests:
        return state
    if rule.worse_by is not None:
        expected = _expected_ratio(state, rule)
        worse = (
            e_values.grown(one, e_values.beside(canary, baseline, share, expected, rule.worse_by))
            for one, share in zip(state.worse, e_values.above(expected + rule.worse_by), strict=True)
        )
        state = replace(state, worse=tuple(worse))
    if rule.no_worse_by is not None:
        state = replace(state, no_worse=_no_worse(state, baseline, canary, rule))
    return replace(state, compared_baseline=state.baseline, compared_canary=state.canary)


def _no_worse(state: State, baseline: Counts, canary: Counts, rule: Rule) -> tuple[float, ...]:
    margin, expected = rule.no_worse_by or 0.0, _expected_ratio(state, rule)
    return tuple(
        e_values.grown(one, e_values.beside(canary, baseline, expected + part * margin, expected, margin))
        for one, part in zip(state.no_worse, WITHIN_MARGIN, strict=True)
    )


def _expected_ratio(state: State, rule: Rule) -> float:
    """What the release beside it is expected to do, by the blocks settled so far; it begins at the bound."""
    known = state.compared_baseline
    return (known.bad + 0.5) / (known.requests + 0.5 / rule.bound)

"""What a watched release is judged by, and what is seen of it at one look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from till_host.judging import e_values, rules
from till_host.judging.counts import Counts
from till_host.judging.tally import Place

CONSIDER, IMMEDIATE = "consider", "immediate"
# Traffic that left the release for so long has not merely been read late.
LEFT_HOLD_S = 10.0
# No test could be certain of a share above one that is near to all requests: that of a half has to do there.
SURE_MAX_RATIO = 0.5
Readings = Mapping[Place, Mapping[str, Counts]]


@dataclass(frozen=True)
class Rule:
    """What is asked of one measure. `levels`: by verdict, worst first, the share of bad ones above which it is one.

    `allowed` judges whether the release is above what is allowed at all; `sure`: by verdict, whether it is above that
    level, whatever was before. `stakes`: what today's share is taken for in a comparison with what was before.
    """

    allowed: rules.Rule
    levels: Mapping[str, float]
    sure: Mapping[str, rules.Rule]
    stakes: tuple[tuple[float, float], ...]

    @property
    def noun(self) -> str:
        return self.allowed.noun


@dataclass(frozen=True)
class Policy:
    """`health_hold_s`: how long a part of what the release needs may be missing. `consider`: ask or rollback.

    `lag_s`: so old must counts be before they are evidence; `excused_s`: so long after a fault of both releases, and
    where nobody looked for longer than `gap_s`, they are none. `worse_e`: which e-value makes it worse than before;
    `history_min`: fewer requests before say nothing;
    what people are to look at lasts for `tell_s`. `beside_e`: how many times
    likelier the old release beside it has to be as bad, to excuse it.
    """

    rules: Mapping[str, Rule]
    health_hold_s: Mapping[str, float]
    restart_hold_s: float
    restarts_max: int
    consider: str
    lag_s: float
    gap_s: float
    excused_s: float
    worse_e: float
    history_min: int
    tell_s: float
    beside_e: float

    def hold_s(self, name: str, verdict: str) -> float:
        """How long something lasts before it is acted on: a certainty of counts does not, it has waited for `lag_s`."""
        if name in self.rules:
            return 0.0 if verdict == IMMEDIATE else self.tell_s
        return {"restarts": self.restart_hold_s, "serves": LEFT_HOLD_S, **self.health_hold_s}[name]


@dataclass(frozen=True)
class Seen:
    """One look. `new`, `old`: by place and measure what has been counted since each program began; a measure that is
    not told just now is not there. `before`: by measure what the old release did before the deploy.

    `health`: by host and side the parts that are there; a side that does not answer is None, one that can't be asked is
    not there. `restarts`: by host and side how often its process began anew lately. `serves`: None where not known.
    """

    fresh: bool
    new: Readings = field(default_factory=dict)
    old: Readings = field(default_factory=dict)
    before: Mapping[str, Counts] = field(default_factory=dict)
    health: Mapping[str, Mapping[str, Mapping[str, bool] | None]] = field(default_factory=dict)
    restarts: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    moved: bool = False
    serves: bool | None = None


def policy(thresholds: Mapping[str, Any]) -> Policy:
    """From thresholds.yml: what a deploy is judged by already is not said anew in its key `watch`."""
    watch = thresholds["watch"]
    return Policy(
        rules={name: _rule(one, thresholds) for name, one in watch["measures"].items()},
        health_hold_s=watch["health_hold_s"],
        restart_hold_s=watch["restart_hold_s"],
        restarts_max=thresholds["rollout"]["restarts_max"],
        consider=watch["consider"],
        lag_s=watch["lag_s"],
        gap_s=watch["gap_s"],
        excused_s=watch["excused_s"],
        worse_e=1 / watch["false_worse_max_ratio"],
        history_min=watch["history_min"],
        tell_s=watch["tell_s"],
        beside_e=watch["beside_e"],
    )


def _rule(asked: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Rule:
    judge = thresholds["judge"]
    of = judge["measures"][asked["judge"]] if "judge" in asked else {}
    allowed = of["bound_ratio"] if of else asked["allowed_ratio"]
    consider = of["limit_ratio"] if of else asked["consider_ratio"]
    given = {IMMEDIATE: asked["immediate_ratio"], CONSIDER: consider}
    levels = {verdict: float(ratio) for verdict, ratio in given.items() if ratio is not None}
    stakes = tuple((float(share), float(stake)) for share, stake in asked.get("stakes", ()))

    def above(limit: float, stakes: tuple[tuple[float, float], ...] = ()) -> rules.Rule:
        return rules.Rule(
            noun=asked["noun"],
            bad=asked["bad"],
            bound=allowed,
            fail_alpha=thresholds["watch"]["false_rollback_max_ratio"],
            pass_alpha=judge["false_pass_max_ratio"],
            least_bad=judge["least_bad"],
            flawless_stake=of.get("flawless_stake_ratio", thresholds["watch"]["flawless_stake_ratio"]),
            limit=limit,
            stakes=stakes,
        )

    evenly = tuple((share, 1 / len(e_values.STEPS)) for share in e_values.above(allowed))
    return Rule(
        allowed=above(allowed, stakes),
        levels=levels,
        sure={verdict: above(min(ratio, SURE_MAX_RATIO)) for verdict, ratio in levels.items()},
        stakes=tuple((float(share), float(stake)) for share, stake in asked.get("worse_stakes", ())) or evenly,
    )

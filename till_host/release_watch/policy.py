"""What a watched release is judged by, and what is seen of it at one look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Traffic that left the release for so long has not merely been read late.
LEFT_HOLD_S = 10.0
# Measures that are counted over the long window.
LONG = ("payments_long",)


@dataclass(frozen=True)
class Counts:
    """Requests of a kind, and the bad ones of them."""

    requests: int = 0
    bad: int = 0

    @property
    def ratio(self) -> float:
        return self.bad / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Rule:
    """Above which share of bad ones a measure is a trigger (None: never), from how many requests on, and how long."""

    noun: str
    bad: str
    requests_min: int
    hold_s: float
    immediate_ratio: float | None
    consider_ratio: float | None
    window_s: float


@dataclass(frozen=True)
class Policy:
    """`health_hold_s`: how long a part of what the release needs may be missing. `consider`: ask or rollback."""

    rules: Mapping[str, Rule]
    health_hold_s: Mapping[str, float]
    restart_hold_s: float
    restarts_max: int
    least_bad: int
    consider: str

    def hold_s(self, name: str) -> float:
        if name in self.rules:
            return self.rules[name].hold_s
        return {"restarts": self.restart_hold_s, "serves": LEFT_HOLD_S, **self.health_hold_s}[name]


@dataclass(frozen=True)
class Seen:
    """One look. Counts by measure: of the new release and the old one in this window, and of the old one `before`.

    `health`: by host and side the parts that are there; a side that does not answer is None, one that can't be asked is
    not there. `restarts`: by host and side how often its process began anew lately. `serves`: None where not known.
    """

    fresh: bool
    new: Mapping[str, Counts] = field(default_factory=dict)
    old: Mapping[str, Counts] = field(default_factory=dict)
    before: Mapping[str, Counts] = field(default_factory=dict)
    health: Mapping[str, Mapping[str, Mapping[str, bool] | None]] = field(default_factory=dict)
    restarts: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    moved: bool = False
    serves: bool | None = None


def policy(thresholds: Mapping[str, Any]) -> Policy:
    """From thresholds.yml: what a deploy is judged by already is not said anew in its key `watch`."""
    watch, judge = thresholds["watch"], thresholds["judge"]
    rules = {
        name: Rule(
            noun=one["noun"],
            bad=one["bad"],
            requests_min=one["requests_min"],
            hold_s=one["hold_s"],
            immediate_ratio=one["immediate_ratio"],
            consider_ratio=judge["measures"][one["judge"]]["limit_ratio"] if "judge" in one else one["consider_ratio"],
            window_s=watch["long_window_s" if name in LONG else "window_s"],
        )
        for name, one in watch["measures"].items()
    }
    return Policy(
        rules=rules,
        health_hold_s=watch["health_hold_s"],
        restart_hold_s=watch["restart_hold_s"],
        restarts_max=thresholds["rollout"]["restarts_max"],
        least_bad=judge["least_bad"],
        consider=watch["consider"],
    )

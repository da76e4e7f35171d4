"""What is asked of one measure of a new release. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """Shares of bad requests, as ratios; raises ValueError where nothing could fail or pass.

    A release fails above `limit`, or when it is worse than what runs beside it by more than `worse_by`; None leaves one
    of them out. It passes below `bound`, or, where `no_worse_by` is given, when it is worse by less than that.
    """

    noun: str
    bad: str
    bound: float
    fail_alpha: float
    pass_alpha: float
    least_bad: int
    flawless_stake: float
    limit: float | None = None
    worse_by: float | None = None
    no_worse_by: float | None = None
    # (share, stake): what is bet on above the limit, and how much of 1; the rest waits for a late break. Without any,
    # half is spread evenly from the limit on.
    stakes: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.limit is None and self.worse_by is None:
            raise ValueError(f"{self.noun} {self.bad}: neither a limit nor worse_by is given, so nothing could fail")
        for share in (self.bound, self.limit, self.no_worse_by):
            if share is not None and not 0 < share < 1:
                raise ValueError(f"{self.noun} {self.bad}: a share of {share} is not between 0 and 1")
        if any(share <= (self.limit or 0) for share, _ in self.stakes) or not sum(one for _, one in self.stakes) < 1:
            raise ValueError(f"{self.noun} {self.bad}: stakes {self.stakes} are not above its limit, or 1 in all")


def rules(policy: Mapping[str, Any]) -> dict[str, Rule]:
    """Each measure's rule, from key `judge` of thresholds.yml.

    One bad measure fails a canary, so they share the alpha of failing. All have to pass, so each has that of passing.
    """
    measures = policy["measures"]
    return {
        name: Rule(
            noun=asked["noun"],
            bad=asked["bad"].format(**asked),
            bound=asked["bound_ratio"],
            fail_alpha=policy["false_abort_max_ratio"] / len(measures),
            pass_alpha=policy["false_pass_max_ratio"],
            least_bad=policy["least_bad"],
            flawless_stake=asked["flawless_stake_ratio"],
            limit=asked["limit_ratio"],
            worse_by=asked["worse_by_ratio"],
            no_worse_by=asked["no_worse_by_ratio"],
        )
        for name, asked in measures.items()
    }

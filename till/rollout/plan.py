"""Strategies as plans: how much of the traffic a new release gets, step by step. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from till.errors import UsageError

FULL = 100


@dataclass(frozen=True)
class Step:
    """So much of the traffic (percent), for at least so long (s).

    A step that `proves` ends with the judge's "pass" only, and the deploy ends without one at its deadline (s).
    """

    percent: int
    hold_s: float
    proves: bool = False
    deadline_s: float = 0.0


def steps(strategy: str, policy: dict[str, Any], bake_s: float | None = None) -> tuple[Step, ...]:
    """The plan of a strategy by policy (`rollout` of thresholds.yml); its last step is all of the traffic.

    `bake_s` replaces the last step's hold. Raises UsageError for a strategy that is none.
    """
    if strategy not in policy["strategies"]:
        raise UsageError(
            f"{strategy!r} is none of {', '.join(policy['strategies'])}", "till deploy STACK VERSION --strategy ..."
        )
    found = [Step(**one) for one in policy["strategies"][strategy]]
    if bake_s is not None:
        found[-1] = replace(found[-1], hold_s=bake_s)
    return tuple(found)


def text(plan: tuple[Step, ...]) -> str:
    """A plan as people sign it."""
    return json.dumps([asdict(step) for step in plan])


def faults(plan: tuple[Step, ...]) -> list[str]:
    """What makes a plan none: a share that does not rise, an end that is not all, a proof without a deadline."""
    found = []
    shares = [step.percent for step in plan]
    if not plan or shares[-1] != FULL:
        found.append(f"a plan ends with {FULL} percent")
    if any(later <= earlier for earlier, later in pairwise(shares)) or min(shares, default=1) < 1:
        found.append(f"shares rise from 1 to {FULL}: {shares}")
    found += [
        f"a step that proves has a deadline: {step.percent} percent"
        for step in plan
        if step.proves and step.deadline_s <= step.hold_s
    ]
    return found

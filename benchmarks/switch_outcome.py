"""What visits say of the switches that were made under them: failures, times, who answered last. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from benchmarks.visits import Visit

OK = 200


@dataclass(frozen=True)
class Switch:
    """All traffic led from one release to another: when that was decided (s since the epoch), until all edges had."""

    kind: Literal["deploy", "rollback"]
    left: str
    to: str
    decided_at: float
    took_s: float


def quantile_ms(visits: Sequence[Visit], share: float) -> float:
    """So much of the visits was answered within that; raises ValueError when there was none."""
    if not visits:
        raise ValueError("nothing was visited")
    times = sorted(one.took_s for one in visits)
    return round(times[math.ceil(share * len(times)) - 1] * 1000, 1)


def figures(visits: Sequence[Visit]) -> dict[str, Any]:
    """Counts, and times in ms from when a visit was due."""
    return {
        "requests": len(visits),
        "failed": sum(one.status != OK for one in visits),
        "p50_ms": quantile_ms(visits, 0.5),
        "p99_ms": quantile_ms(visits, 0.99),
    }


def left_s(visits: Sequence[Visit], switches: Sequence[Switch]) -> list[float]:
    """For each switch, how long after its decision the release that was left gave its last answer."""
    ends = [*(one.decided_at for one in switches[1:]), math.inf]
    found = []
    for switch, end in zip(switches, ends, strict=True):
        # A visit that was due before the next switch and answered after it met the release there again.
        answered = [one.at + one.took_s for one in visits if one.version == switch.left]
        last = max((at for at in answered if switch.decided_at < at < end), default=switch.decided_at)
        found.append(round(last - switch.decided_at, 3))
    return found


def unseen(visits: Sequence[Visit], switches: Sequence[Switch]) -> int:
    """Switches after which no visit met the new release before the next one: they were made too fast to be measured."""
    ends = [*pairwise([one.decided_at for one in switches]), (switches[-1].decided_at, math.inf)] if switches else []
    return sum(
        not any(one.version == switch.to and begin < one.at < end for one in visits)
        for switch, (begin, end) in zip(switches, ends, strict=True)
    )


def result(
    without: Sequence[Visit], during: Sequence[Visit], switches: Sequence[Switch], bars: Mapping[str, float]
) -> dict[str, Any]:
    """Figures with and without switches, and each bar's verdict."""
    left = left_s(during, switches)
    calm, busy = figures(without), figures(during)
    added_ms = round(busy["p99_ms"] - calm["p99_ms"], 1)
    return {
        "switches": len(switches),
        "switches_unseen": unseen(during, switches),
        "without": calm,
        "with": busy,
        "added_p99_ms": added_ms,
        "left_s": {"max": max(left, default=None), "all": left},
        "switch_s": {
            kind: max((one.took_s for one in switches if one.kind == kind), default=None)
            for kind in ("deploy", "rollback")
        },
        "bars": [
            verdict("failed requests", busy["failed"], bars["failed_max"], ""),
            verdict("added p99", added_ms, bars["added_p99_ms_max"], " ms"),
            verdict("decision to the last answer of the release that is left", max(left), bars["left_s_max"], " s"),
        ]
        if left
        else [],
    }


def verdict(bar: str, measured: float, most: float, unit: str) -> dict[str, Any]:
    """A bar's verdict and its sentence."""
    holds = measured <= most
    told = f"{bar}: {measured:g}{unit}, the bar asks at most {most:g}{unit}: {'holds' if holds else 'does not hold'}"
    return {"bar": bar, "measured": measured, "most": most, "holds": holds, "sentence": told}

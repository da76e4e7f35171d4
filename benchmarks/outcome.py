"""What the measured seconds and bytes say: medians, rates, ratios, and whether a bar holds. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most of some measurements; raises ValueError when there are none."""
    if not values:
        raise ValueError("nothing was measured")
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def of_case(runs: Sequence[Mapping[str, float]], cores: int) -> dict[str, Any]:
    """One case's figures from its runs ({elapsed_s, flush_s, cpu_s, bytes, disk_bytes_per_s}).

    `disk_ratio` is its rate over the disk's own as it was around the same run; `cpu_ratio` the part of the cores that
    the container kept busy.
    """
    return {
        "runs": [dict(run) for run in runs],
        "elapsed_s": spread([run["elapsed_s"] for run in runs]),
        "bytes_per_s": spread([run["bytes"] / run["elapsed_s"] for run in runs]),
        "disk_ratio": spread([run["bytes"] / run["elapsed_s"] / run["disk_bytes_per_s"] for run in runs]),
        "cpu_s": statistics.median(run["cpu_s"] for run in runs),
        "cpu_ratio": statistics.median(run["cpu_s"] / run["elapsed_s"] / cores for run in runs),
    }


def verdicts(
    restore: Mapping[str, Any], deltas: Mapping[str, Mapping[str, Any]], bars: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Each bar as {bar, measured_ratio, wanted_ratio, holds, sentence}; `deltas` by their kind."""
    wanted, measured = bars["restore_disk_ratio_min"], restore["disk_ratio"]["median"]
    found = [verdict("restore beside the disk", measured, wanted, measured >= wanted, "at least")]
    most = bars["delta_full_ratio_max"]
    for kind, delta in deltas.items():
        ratio = delta["elapsed_s"]["median"] / restore["elapsed_s"]["median"]
        found.append(verdict(f"{kind}, beside the full restore", ratio, most, ratio <= most, "at most"))
    return found


def verdict(bar: str, measured: float, wanted: float, holds: bool, side: str) -> dict[str, Any]:
    """A bar's verdict and its sentence."""
    return {
        "bar": bar,
        "measured_ratio": measured,
        "wanted_ratio": wanted,
        "holds": holds,
        "sentence": f"{bar}: {measured:.1%}, the bar asks {side} {wanted:.0%}: {'holds' if holds else 'does not hold'}",
    }


def needed_bytes(size_bytes: int, repositories: int) -> int:
    """Disk that a run takes: source with indexes, WAL of its making, one restored copy, a probe, the repositories."""
    return int(size_bytes * (1.3 + 0.4 + 1.3 + 1.3 + 0.6 * repositories))


def options_of(text: str) -> dict[str, str]:
    """`name=value,name=value` as a mapping; raises ValueError that names the part which is none."""
    found = {}
    for part in text.split(","):
        name, separator, value = part.strip().partition("=")
        if not separator or not name or not value:
            raise ValueError(f"{part!r} is no name=value, as in process-max=4,compress-level=1")
        found[name] = value
    return found

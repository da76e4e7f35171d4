"""The plot of a failover drill: purchases, answers and events on one axis of time. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WIDTH = 720
LATENCY_TOP, LATENCY_HEIGHT = 34, 150
LANE_HEIGHT = 24
LATENCY_MARKS_S = (0, 5, 10)
TICKS = 8
# One colour for each site in the order in which it appears, others for what is no site.
SITES = ("#3b6fb6", "#8a5fb0", "#2f7f7f", "#a0672c")
OTHERS = {"leads": "#2f8f4e", "follows": "#aeb7c0", "silence": "#3d444d", "empty": "#c62f2f", "released": "#c62f2f"}
# What is marked in time, by the key of the result.
EVENTS = (
    ("detected_s", "detected"), ("dns_switch_s", "names"), ("promoted_s", "promoted"), ("rto_s", "payments"),
)  # fmt: skip


def plot(result: dict[str, Any], width: int = WIDTH) -> dict[str, Any]:
    """Sizes and places in pixels for the template; empty where the drill ended before anything was broken."""
    if not result.get("events"):
        return {}
    requests: list[tuple[float, float, int]] = result["requests"]
    ends = [begin + took for begin, took, _ in requests] + [float(event["at_s"]) for event in result["events"]]
    first, last = min([one[0] for one in requests] + [0.0]), max([*ends, 1.0])

    def x(at_s: float) -> float:
        return round((min(max(at_s, first), last) - first) / (last - first) * width, 1)

    longest = max([took for _, took, _ in requests] + [float(LATENCY_MARKS_S[-1])])

    def y(took_s: float) -> float:
        return round(LATENCY_TOP + LATENCY_HEIGHT * (1 - took_s / longest), 1)

    lanes = _lanes(result["events"], x, last)
    marks = [("fault", 0.0), *((name, result[key]) for key, name in EVENTS if result.get(key))]
    marks.append(("healed", float(result["fault_for_s"])))
    return {
        "width": width,
        "height": LATENCY_TOP + LATENCY_HEIGHT + 16 + LANE_HEIGHT * len(lanes) + 28,
        "ticks": [{"x": x(at), "at_s": at} for at in _ticks(first, last)],
        "latency_marks": [{"s": mark, "y": y(mark)} for mark in LATENCY_MARKS_S],
        "purchases": [
            {"x": x(begin), "y": y(took), "acknowledged": bool(acknowledged)} for begin, took, acknowledged in requests
        ],
        "lanes": lanes,
        # Two names that stand at the same time stand below each other.
        "events": [
            {"name": name, "x": x(at), "y": 12 + 11 * (number % 2)}
            for number, (name, at) in enumerate(sorted(marks, key=lambda one: one[1]))
        ],
    }


def _lanes(events: list[dict[str, Any]], x: Callable[[float], float], last: float) -> list[dict[str, Any]]:
    told: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        told.setdefault(event["who"], []).append(event)
    sites = list(dict.fromkeys(event["what"] for event in events if event["what"] not in OTHERS))
    colours = {**{site: SITES[number % len(SITES)] for number, site in enumerate(sites)}, **OTHERS}
    found = []
    for number, who in enumerate(sorted(told)):
        begins = told[who]
        until = [*(event["at_s"] for event in begins[1:]), last]
        spans = [
            {
                "x": x(event["at_s"]),
                "width": max(1.0, round(x(end) - x(event["at_s"]), 1)),
                "what": event["what"],
                "fill": colours[event["what"]],
            }
            for event, end in zip(begins, until, strict=True)
        ]
        top = LATENCY_TOP + LATENCY_HEIGHT + 16 + LANE_HEIGHT * number
        found.append({"who": who, "y": top, "spans": spans})
    return found


def _ticks(first: float, last: float) -> list[int]:
    """Round numbers, TICKS of them or so."""
    step = next(one for one in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600) if (last - first) / one <= TICKS)
    start = -int(-first // step) * step if first < 0 else 0
    return [at for at in range(start, int(last) + 1, step) if at >= first]

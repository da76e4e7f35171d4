"""The plot of a deploy: requests per second by version, steps and gates on one axis of time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from till.records.deploy_record import Record
from till.records.deploy_traffic import Sample, gathered, totals

WIDE, NARROW = 860, 320
LEFT, RIGHT, TOP, HEIGHT = 44, 14, 12, 170
ROW_HEIGHT = 16
# A lane for names has so many rows; a name that finds no room is left out, and stands in the table.
ROWS = 3
COLUMN_PX = 5
# An estimate of a letter of the page's font at 12 px, on the safe side.
LETTER_PX = 7.2
TICK_PX = 80
TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
# In which order names get room: what stopped a deploy first.
URGENCY = {"fail": 0, "insufficient": 1, "skipped": 2, "pass": 3}


def plot(record: Record, width: int = WIDE) -> dict[str, Any]:
    """Sizes and places in pixels for the template; empty where nothing was seen."""
    last = end_s(record)
    if not (record.traffic or record.steps or record.gates):
        return {}
    span_s = _span(last, (width - LEFT - RIGHT) // COLUMN_PX)

    def x(at_s: float) -> float:
        return round(LEFT + min(max(at_s, 0.0), last) / last * (width - LEFT - RIGHT), 1)

    points = [
        (one, x(one.at_s + span_s / 2), rate)
        for version in totals(record.traffic)
        for one, rate in _rates([one for one in record.traffic if one.version == version], span_s)
    ]
    top = _ceiling(max((rate for _, _, rate in points), default=1.0))

    def y(per_s: float) -> float:
        return round(TOP + HEIGHT * (1 - min(per_s, top) / top), 1)

    floor = TOP + HEIGHT
    steps = _lane(((one.at_s, f"{one.percent:g} %", "step", 0) for one in record.steps), x, width, floor + 32)
    below = floor + 32 + ROW_HEIGHT * _rows(steps)
    gates = _lane(
        (
            (one.at_s, f"{number} {one.verdict}", one.verdict, URGENCY[one.verdict])
            for number, one in enumerate(record.gates, start=1)
        ),
        x,
        width,
        below + 8,
    )
    return {
        "width": width,
        "height": round(below + 8 + ROW_HEIGHT * _rows(gates) + 4),
        "left": LEFT,
        "right": width - RIGHT,
        "top": TOP,
        "floor": floor,
        "span_s": span_s,
        "ticks": [{"x": x(at_s), "name": _time(at_s)} for at_s in _ticks(last, (width - LEFT - RIGHT) // TICK_PX)],
        "rates": [{"y": y(rate), "name": f"{rate:g}"} for rate in (0, top / 2, top)],
        "lines": _lines(record, [(one, at_x, y(rate)) for one, at_x, rate in points], span_s),
        "steps": steps,
        "gates": gates,
    }


def end_s(record: Record) -> float:
    """Until when something is known; at least a second."""
    seen = [*(one.at_s for one in record.steps), *(one.at_s for one in record.gates)]
    return max([*seen, *(one.at_s for one in record.traffic), record.duration_s or 0.0, 1.0])


def bars(phases: dict[str, float]) -> list[dict[str, Any]]:
    """Each phase with its part of the longest one in percent, for a bar beside its seconds."""
    longest = max(phases.values(), default=0.0) or 1.0
    return [
        {"name": name, "duration_s": took_s, "percent": round(max(0.5, took_s / longest * 100), 1)}
        for name, took_s in phases.items()
    ]


def role(record: Record, version: str) -> str:
    """Whose line it is: new, old, or other where something else answered."""
    if version == record.new_version:
        return "new"
    return "old" if version == record.old_version else "other"


def _rates(own: list[Sample], span_s: int) -> list[tuple[Sample, float]]:
    """The samples of one version over spans, each with its requests per second while that version was looked at."""
    times = sorted(one.at_s for one in own)
    begin, end = times[0], times[-1] + min((b - a for a, b in pairwise(times) if b > a), default=1.0)
    return [
        (one, one.requests / max(1.0, min(one.at_s + span_s, end) - max(one.at_s, begin)))
        for one in sorted(gathered(own, span_s), key=lambda one: one.at_s)
    ]


def _lines(record: Record, points: list[tuple[Sample, float, float]], span_s: int) -> list[dict[str, Any]]:
    found = []
    for version, total in totals(record.traffic).items():
        own = [point for point in points if point[0].version == version]
        # A gap in what was seen is a gap in the line; a look that came late is none.
        gaps = [n for n in range(1, len(own)) if own[n][0].at_s - own[n - 1][0].at_s > span_s + 1]
        runs = [[point[1:] for point in own[begin:end]] for begin, end in pairwise([0, *gaps, len(own)])]
        found.append(
            {
                "version": version,
                "role": role(record, version),
                "requests": total.requests,
                "errors": total.errors,
                # A run of one is a line to itself, which a round cap makes a dot.
                "path": " ".join("M" + " L".join(f"{px} {py}" for px, py in (*run, run[-1])) for run in runs),
                "errors_at": [point[1:] for point in own if point[0].errors],
            }
        )
    return found


def _lane(
    marks: Iterable[tuple[float, str, str, int]], x: Callable[[float], float], width: int, top: float
) -> list[dict[str, Any]]:
    """Marks with their names in rows, none over another; `name` is empty where there is no room."""
    taken: list[list[tuple[float, float]]] = [[] for _ in range(ROWS)]
    placed = []
    for at_s, name, kind, urgency in sorted(marks, key=lambda mark: (mark[3], mark[0])):
        size = len(name) * LETTER_PX
        begin = max(0.0, min(x(at_s) - size / 2, width - size))
        row = next((n for n in range(ROWS) if all(begin > b + 4 + s or begin + size + 4 < b for b, s in taken[n])), -1)
        if row >= 0:
            taken[row].append((begin, size))
        placed.append(
            {
                "x": x(at_s),
                "name": name if row >= 0 else "",
                "kind": kind,
                "urgency": urgency,
                "row": row,
                "name_x": round(begin + size / 2, 1),
                "y": round(top + ROW_HEIGHT * max(row, 0) + 12, 1),
            }
        )
    return sorted(placed, key=lambda mark: mark["x"])


def _rows(lane: list[dict[str, Any]]) -> int:
    return max((mark["row"] for mark in lane), default=-1) + 1


def _span(last: float, columns: int) -> int:
    """Powers of two, as samples are thinned by, so that none is cut in two."""
    span_s = 1
    while last / span_s > columns:
        span_s *= 2
    return span_s


def _ceiling(rate: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... that is not below a rate."""
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            if rate <= factor * size:
                return factor * size
        size *= 10


def _ticks(last: float, most: int) -> list[int]:
    step = next((one for one in TICKS_S if last / one <= most), max(TICKS_S[-1], int(last)))
    return list(range(0, int(last) + 1, step))


def _time(at_s: int) -> str:
    return f"{at_s // 60}:{at_s % 60:02d}"

"""Which WAL segments there are, and which are missing. Pure.

A segment's name is 24 hexadecimal digits: timeline, high and low part of its number. Names as PostgreSQL's
documentation of continuous archiving has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SEGMENT = re.compile(r"^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$")
# In the repository a segment's name is followed by its checksum and how it was compressed.
ARCHIVED = re.compile(r"^(?:[0-9A-F]{16}/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?$")
HISTORY_LINE = re.compile(r"^(\d+)\s+([0-9A-F]+)/([0-9A-F]+)")
HIGH_BYTES = 1 << 32


@dataclass(frozen=True, order=True)
class Segment:
    """A segment by its timeline and its number on it."""

    timeline: int
    number: int


@dataclass(frozen=True)
class Gap:
    """Segments `first` to `last` (both included) that are missing between two that are there."""

    first: Segment
    last: Segment


def parse(name: str, segment_bytes: int) -> Segment | None:
    """The segment of that name; None for anything else (a history, a partial segment, a backup's label)."""
    found = SEGMENT.match(name)
    if not found:
        return None
    timeline, high, low = (int(part, 16) for part in found.groups())
    return Segment(timeline, high * (HIGH_BYTES // segment_bytes) + low)


def name(segment: Segment, segment_bytes: int) -> str:
    """The name of a segment."""
    high, low = divmod(segment.number, HIGH_BYTES // segment_bytes)
    return f"{segment.timeline:08X}{high:08X}{low:08X}"


def archived(files: Iterable[str], segment_bytes: int) -> set[Segment]:
    """The segments among the files of a repository's archive."""
    names = (ARCHIVED.match(file) for file in files)
    found = (parse(one.group(1), segment_bytes) for one in names if one)
    return {one for one in found if one}


def switches(history: str, segment_bytes: int) -> dict[int, int]:
    """A history file: each ancestor's timeline -> number of the segment in which its child went on without it."""
    found = {}
    for line in history.splitlines():
        if read := HISTORY_LINE.match(line.strip()):
            position = (int(read.group(2), 16) << 32) + int(read.group(3), 16)
            found[int(read.group(1))] = position // segment_bytes
    return found


def gaps(there: Iterable[Segment], histories: Mapping[int, Mapping[int, int]]) -> list[Gap]:
    """What is missing on the road to the newest segment, oldest first.

    The road is that of the newest timeline: each ancestor up to the segment where its child left it, as the child's
    history (`histories`: timeline -> switches) tells. What lies before the oldest segment has expired.
    """
    by_timeline: dict[int, set[int]] = {}
    for one in there:
        by_timeline.setdefault(one.timeline, set()).add(one.number)
    if not by_timeline:
        return []
    newest = max(by_timeline)
    road = [*sorted((histories.get(newest) or {}).items()), (newest, max(by_timeline[newest]) + 1)]
    found: list[Gap] = []
    start: int | None = None
    for timeline, end in road:
        numbers = by_timeline.get(timeline, set())
        first = min(numbers, default=None) if start is None else start
        if first is None or first >= end:
            continue
        missing = sorted(set(range(first, end)) - numbers)
        found += [Gap(Segment(timeline, run[0]), Segment(timeline, run[-1])) for run in _runs(missing)]
        start = end
    return found


def _runs(numbers: list[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs

"""What slots on several hosts have counted together, from counters of programs that may start anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from till_host.judging.counts import NOTHING, Counts, since

# A slot of a host.
Place = tuple[str, str]


@dataclass(frozen=True)
class Reading:
    """By measure what one slot's programs have counted since they began; `age_s` of the oldest."""

    counts: Mapping[str, Counts]
    age_s: float


@dataclass
class CounterSum:
    """By measure the `total` since each place's first reading. What was counted before it is nobody's here."""

    places: tuple[Place, ...]
    total: dict[str, Counts] = field(default_factory=dict)
    _seen: dict[tuple[Place, str], Counts] = field(default_factory=dict)

    def add(self, found: Mapping[Place, Reading], stale_s: float) -> bool:
        """Take a reading; whether every place is in it and none is older than that."""
        there = [found[place] for place in self.places if place in found and found[place].age_s <= stale_s]
        if len(there) < len(self.places):
            return False
        for place in self.places:
            grow(self.total, self._seen, place, found[place].counts)
        return True


def grow(
    total: dict[str, Counts], seen: dict[tuple[Place, str], Counts], place: Place, counts: Mapping[str, Counts]
) -> None:
    """Add to `total` what a place has counted since it was `seen` last, measure by measure.

    A lower counter has started anew. Its first reading adds nothing, and a measure that it does not tell just now keeps
    what was seen: told as 0, it would count twice when it is back.
    """
    for measure, now in counts.items():
        before = seen.get((place, measure))
        grown = NOTHING if before is None else since(before, now)
        if grown is not None:
            seen[place, measure] = now
            total[measure] = total.get(measure, NOTHING) + grown

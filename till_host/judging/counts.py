"""How many requests there were and how many of them were bad, from counters that may start anew. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Requests, and the bad ones of them: failed, or slower than a limit. Raises ValueError for the impossible."""

    requests: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.requests:
            raise ValueError(f"{self.bad} bad of {self.requests} requests can't be")

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.bad + other.bad)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.requests - other.requests, self.bad - other.bad)

    @property
    def good(self) -> int:
        return self.requests - self.bad

    @property
    def bad_ratio(self) -> float:
        """The share of bad ones; 0 without a request."""
        return self.bad / self.requests if self.requests else 0.0


NOTHING = Counts()


def since(seen: Counts, now: Counts) -> Counts | None:
    """What came between two readings of one program's counters.

    A counter that is lower than before has started anew: all that it tells is new. None where more bad requests than
    requests came, as when a scrape falls between the two counters: the next reading has both.
    """
    if now.requests < seen.requests or now.bad < seen.bad:
        return now
    requests, bad = now.requests - seen.requests, now.bad - seen.bad
    return Counts(requests, bad) if bad <= requests else None

"""What becomes worth telling, second by second, from what a host sees of its fleet. Pure.

A subject is a site, a host, the leader, or where names and payments are; its state changes only after what was seen
has held for a while. Every host decides alike, so that several may tell the same; `claim` keeps that to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

WELL, ALIVE, GONE = range(3)
LEADER, NAMES, APART, PAYMENTS = "leader", "names", "apart", "payments"
# As every subject is while nothing was told of it.
AT_FIRST = {"site": "well", "host": "back", APART: "no", PAYMENTS: "possible"}


@dataclass(frozen=True)
class Fleet:
    """Who is where: the site of each host with a database, the fleet's other hosts, what holds how long (s)."""

    site_of: dict[str, str]
    hosts: tuple[str, ...]
    hold: dict[str, float]


@dataclass(frozen=True)
class Seen:
    """Ranks of sites and who leads, as the nameserver's checks say; the site that names lead to; hosts whose copy of
    the database leads or follows; whether a synchronous copy is there; hosts that don't answer."""

    ranks: dict[str, int]
    leader: str
    names: str
    following: frozenset[str] = frozenset()
    synchronous: bool = False
    away: frozenset[str] = frozenset()

    @property
    def blank(self) -> bool:
        """A nameserver that has just started, or a host that is cut off, holds everything for gone."""
        return not self.leader and set(self.ranks.values()) <= {GONE}


@dataclass(frozen=True)
class Change:
    """A subject's new state, how it was before, and since when it has been so (s since the epoch)."""

    subject: str
    state: str
    before: str
    since: float

    @property
    def kind(self) -> str:
        kinds = {LEADER: "switch", NAMES: "names", APART: "switch"}
        return kinds.get(self.subject) or {"lost": "start", "possible": "verified", "well": "heal"}.get(
            self.state, self.state
        )

    @property
    def tell(self) -> bool:
        """Whether people are told; the rest is kept for the timeline."""
        return self.subject != NAMES and (self.subject, self.state) not in {(APART, "no"), (PAYMENTS, "stopped")}


@dataclass
class Memory:
    """`states`: how each subject is; `since`: when a change to come was first seen; `home`: where names led while all
    was well; `blank_since`: since when nothing at all is seen (0: something is)."""

    states: dict[str, str] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    home: str = ""
    blank_since: float = 0.0

    def state(self, subject: str) -> str:
        return self.states.get(subject) or AT_FIRST.get(subject.partition(":")[0], "")

    def document(self) -> dict[str, Any]:
        return asdict(self)


def look(memory: Memory, seen: Seen, fleet: Fleet, now: float) -> list[Change]:
    """What changed now, oldest cause first; `memory` is brought up to it."""
    if seen.blank:
        memory.blank_since = memory.blank_since or now
        if now - memory.blank_since < fleet.hold["blind_s"]:
            return []
    else:
        memory.blank_since = 0.0
    changes = []
    # In this order: what was lost is said before what came in its place.
    for wanted in (_sites, _leader, _names, _payments, _hosts):
        for subject, state, hold_s in wanted(memory, seen, fleet):
            changes += _settle(memory, subject, state, hold_s, now)
    changes += _stopped(memory, seen, fleet, changes, now)
    if seen.leader and seen.ranks and set(seen.ranks.values()) == {WELL}:
        memory.home = seen.names
    return changes


Wanted = Iterator[tuple[str, str, float]]


def _settle(memory: Memory, subject: str, state: str, hold_s: float, now: float) -> list[Change]:
    """A change that has held for long enough. An empty state says nothing: what was pending is dropped."""
    before = memory.state(subject)
    pending = f"{subject}={state}"
    for key in [key for key in memory.since if key.rpartition("=")[0] == subject and key != pending]:
        del memory.since[key]
    if not state or state == before:
        memory.since.pop(pending, None)
        return []
    since = memory.since.setdefault(pending, now)
    if now - since < hold_s:
        return []
    del memory.since[pending]
    memory.states[subject] = state
    # What is first seen was not changed by anybody.
    return [Change(subject, state, before, since)] if before else []


def _sites(memory: Memory, seen: Seen, fleet: Fleet) -> Wanted:
    led = fleet.site_of.get(memory.state(LEADER), "")
    told = {
        key.partition(":")[2] for key, state in memory.states.items() if key.startswith("site:") and state != "well"
    }
    for site in dict.fromkeys([*seen.ranks, *([led] if led else []), *sorted(told)]):
        rank, subject = seen.ranks.get(site), f"site:{site}"
        copies = {host for host, where in fleet.site_of.items() if where == site}
        if rank == GONE:
            # Where another site leads already, nobody is told of that before the loss.
            moved = site == led != fleet.site_of.get(seen.leader, led)
            yield subject, "lost", 0 if moved else fleet.hold["lost_s"]
        elif not seen.leader and site == led:
            yield subject, "lost", fleet.hold["leaderless_s"]
        elif seen.leader and rank == ALIVE:
            yield subject, "lost", fleet.hold["unwell_s"]
        elif seen.leader and rank in (WELL, None) and copies <= seen.following:
            yield subject, "well", fleet.hold["heal_s"]
        else:
            yield subject, "", 0


def _leader(_memory: Memory, seen: Seen, fleet: Fleet) -> Wanted:
    # Checks of the old leader's site may fail a moment after the new one's succeed.
    yield LEADER, seen.leader, fleet.hold["switch_s"]


def _names(memory: Memory, seen: Seen, fleet: Fleet) -> Wanted:
    # A nameserver that has just come up goes by half of what it will know in a moment.
    yield NAMES, seen.names, fleet.hold["names_s"]
    if seen.leader and seen.names:
        led = fleet.site_of.get(seen.leader, "")
        apart = led in seen.ranks and led != seen.names and seen.ranks[led] != WELL
        yield APART, seen.names if apart else "no", fleet.hold["apart_s"]


def _payments(memory: Memory, seen: Seen, fleet: Fleet) -> Wanted:
    if memory.state(PAYMENTS) == "stopped":
        possible = seen.leader and seen.synchronous and seen.ranks.get(seen.names) == WELL
        yield PAYMENTS, "possible" if possible else "", fleet.hold["verify_s"]


def _hosts(memory: Memory, seen: Seen, fleet: Fleet) -> Wanted:
    for host in fleet.hosts:
        site = f"site:{fleet.site_of.get(host, '')}"
        if host not in seen.away:
            yield f"host:{host}", "back", fleet.hold["heal_s"]
        else:
            # Who was told that a site is lost knows of its hosts.
            yield f"host:{host}", "away" if memory.state(site) == "well" else "", fleet.hold["away_s"]


def _stopped(memory: Memory, seen: Seen, fleet: Fleet, changes: list[Change], now: float) -> list[Change]:
    """With the site that customers were led to, or in which the database led, payments stop."""
    lost = {one.subject for one in changes if one.state == "lost"}
    left = next((one.before for one in changes if one.subject == LEADER), memory.state(LEADER))
    customers = {f"site:{memory.home or seen.names}", f"site:{fleet.site_of.get(left, '')}"}
    if not lost & customers or memory.state(PAYMENTS) == "stopped":
        return []
    memory.states[PAYMENTS] = "stopped"
    since = min(one.since for one in changes if one.subject in lost)
    return [Change(PAYMENTS, "stopped", "possible", since)]

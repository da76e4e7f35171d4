"""Whether the preferred site is to lead again by itself. Pure: what was seen in, a decision with its reason out.

No ping-pong: the leader is moved only after the site has been well for a whole time without a break; a move that was
followed by another failover soon, that failed, or that a person made elsewhere, is the last until a person says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Policy:
    """`automatic`: whether to move at all; time for which the site must be well, and time after a move in which losing
    the lead again means that this site is not to be trusted (s); lag that is allowed (bytes)."""

    automatic: bool
    after_s: float
    relapse_s: float
    lag_max_bytes: int


@dataclass(frozen=True)
class Seen:
    """This host's copy as Patroni says it ("" when there is none), its lag (None: unknown), who leads and at which
    site, whether another copy streams, whether Patroni is paused; this edge's deep health; what is unfinished here."""

    leader: str
    leads_here: bool
    role: str
    state: str
    lag_bytes: int | None
    others_stream: bool
    paused: bool
    healthy: bool
    unfinished: str


@dataclass(frozen=True)
class Record:
    """What all hosts know (etcd): since when nothing moves by itself and why ("": it may), the last move (s)."""

    held: str = ""
    held_at: float = 0.0
    moved_at: float = 0.0

    @classmethod
    def read(cls, found: Any) -> Record:
        known = found if isinstance(found, dict) else {}
        return cls(str(known.get("held", "")), float(known.get("held_at", 0)), float(known.get("moved_at", 0)))


@dataclass(frozen=True)
class Decision:
    """`move`: now; `hold`: nothing moves by itself from now on; `reason`: why, as a sentence without its end."""

    move: bool = False
    hold: bool = False
    reason: str = ""


def fault(seen: Seen, policy: Policy) -> str:
    """Why this site could not lead just now; empty when it could."""
    if not seen.leader:
        return "nobody leads"
    if seen.paused:
        return "Patroni is paused"
    if seen.unfinished:
        return seen.unfinished
    if seen.role != "sync_standby" or seen.state != "streaming":
        return f"the copy here is {seen.role or 'absent'}, {seen.state or 'unknown'}, not a streaming synchronous one"
    if seen.lag_bytes is None or seen.lag_bytes > policy.lag_max_bytes:
        return f"the copy here lags {'an unknown number of' if seen.lag_bytes is None else seen.lag_bytes} bytes"
    if not seen.others_stream:
        return "no third copy streams: after the move none would be synchronous"
    return "" if seen.healthy else "the edge here is not well"


def decide(seen: Seen, record: Record, well_since: float, now: float, policy: Policy) -> tuple[float, Decision]:
    """Since when this site has been well without a break (0: it is not), and what to do."""
    if seen.leads_here:
        return 0.0, Decision(reason="this site leads")
    if record.moved_at and not record.held and seen.leader and now - record.moved_at < policy.relapse_s:
        why = f"the lead was lost again within {policy.relapse_s:g} s of the last move"
        return 0.0, Decision(hold=True, reason=why)
    reason = fault(seen, policy)
    if reason:
        return 0.0, Decision(reason=reason)
    since = well_since or now
    if not policy.automatic:
        return since, Decision(reason="failback is manual by policy")
    if record.held:
        return since, Decision(reason=f"it stays manual until a person runs till failback: {record.held}")
    if now - since < policy.after_s:
        return since, Decision(reason=f"well for less than {policy.after_s:g} s")
    return since, Decision(move=True, reason=f"well for {policy.after_s:g} s, synchronous and with another copy")


def held(record: Record, why: str, now: float) -> Record:
    return replace(record, held=why, held_at=round(now, 3))

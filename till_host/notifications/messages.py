"""What people read of a change: what happened, since when, who leads, what customers notice, what to do. Pure.

No secret and nothing personal can be in it: it is made of names of hosts and sites, and of times.
"""

from __future__ import annotations

import time
from typing import Any

from till_host.notifications.changes import ALIVE, APART, GONE, LEADER, NAMES, PAYMENTS, Change, Fleet, Memory, Seen

SEVERITIES = {"start": "failure", "away": "warning", "switch": "warning", "verified": "success", "heal": "success"}
RANKS = {
    0: "well",
    ALIVE: "not well: its edge answers, the shop there is not well",
    GONE: "gone: its edge does not answer",
}


def event(change: Change, memory: Memory, seen: Seen, fleet: Fleet, stack: str, now: float) -> dict[str, Any]:
    """An event as `spool.put` takes it."""
    what, customers, following = _told(change, memory, seen, stack)
    lines = [
        f"{what} Since {clock(change.since)}.",
        f"The database leads on {seen.leader}." if seen.leader else "No database leads just now.",
        f"Names lead to site {seen.names or 'unknown'}.",
        customers,
        f"Next: {following}",
    ]
    return {
        "kind": change.kind,
        "severity": SEVERITIES.get(change.kind, "info"),
        "title": f"Till {stack}: {change.kind}: {what.rstrip('.')}",
        "text": "\n".join(line for line in lines if line),
        "subject": change.subject,
        "state": change.state,
        "tell": change.tell,
        # What is only kept for the timeline waits longer, and stands there as it was.
        "at": now if change.tell else change.since,
        "facts": {"since": round(change.since, 3), "leader": seen.leader, "names": seen.names, "before": change.before},
    }


def clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _told(change: Change, memory: Memory, seen: Seen, stack: str) -> tuple[str, str, str]:
    """What happened, what customers notice, what to do."""
    topic, _, name = change.subject.partition(":")
    status = f"till status {stack}"
    if topic == "site" and change.state == "lost":
        return (
            f"Site {name} is lost: {_how(name, seen)}.",
            _customers(memory, seen),
            f"{status}; docs/runbooks/failover.md",
        )
    if topic == "site":
        return (
            f"Site {name} is well again: its edge answers, its copy of the database follows.",
            "Customers notice nothing.",
            f"till incident show {stack}; till failback {stack} when it is to lead again; docs/runbooks/told.md",
        )
    if topic == "host":
        away = change.state == "away"
        return (
            f"Host {name} {'does not answer' if away else 'answers again'}.",
            "Customers notice nothing." + (" A second host must not go." if away else ""),
            f"{status}; docs/runbooks/alerts.md#host-down" if away else status,
        )
    return {
        LEADER: (
            f"The database's leader moved from {change.before} to {seen.leader}.",
            "Payments wait until a synchronous copy follows." if not seen.synchronous else "Payments are possible.",
            f"{status}; docs/runbooks/failover.md",
        ),
        APART: (
            f"Names lead to site {seen.names}, the database leads on at another one.",
            "Customers notice nothing.",
            f"{status}; docs/runbooks/dns.md",
        ),
        PAYMENTS: (
            f"Payments are possible again at site {seen.names}: it is well, and each is on two hosts."
            if change.state == "possible"
            else "Payments are stopped.",
            "",
            f"{status}; till incident show {stack}",
        ),
        NAMES: (f"Names lead to site {seen.names}.", "", status),
    }[topic]


def _how(site: str, seen: Seen) -> str:
    rank = seen.ranks.get(site)
    return RANKS[rank] if rank in (ALIVE, GONE) else "its database led and does no more"


def _customers(memory: Memory, seen: Seen) -> str:
    stopped = memory.state(PAYMENTS) == "stopped"
    return "Payments wait or fail until another site has taken over." if stopped else "Customers notice nothing."

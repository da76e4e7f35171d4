"""The stack's lock in etcd: a key that one holder has while its lease lives, and a token that rises each time."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from till_host.etcd import Etcd, Write

LOCK = "/till/lock"
COUNTER = "/till/lock-token"
Holder = dict[str, Any]


class Taken(Exception):
    """Somebody else holds the lock."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"{holder['verb']} by {holder['by']} holds the lock since {holder['since']}")
        self.holder = holder


class Gone(Exception):
    """The lock is not held by this token any more, and by nobody else."""


def next_token(last: int, now: float) -> int:
    """Above the last one, and above all of a store that was lost: hosts keep the highest they saw for ever."""
    return max(last + 1, int(now))


def take(store: Etcd, who: dict[str, str], lifetime_s: int) -> Holder:
    """Hold the lock for a lifetime; raises Taken, or OSError without a majority."""
    lease = store.grant(lifetime_s)
    while True:
        holder, revision = store.get(LOCK)
        if holder is not None:
            if holder["lease"] == lease:
                # Our own write, whose answer was lost.
                return dict(holder)
            _end(store, lease)
            raise Taken(holder)
        last, counted = store.get(COUNTER)
        mine = {**who, "token": next_token(last or 0, time.time()), "lease": lease}
        if store.write(Write(LOCK, mine, revision, lease), Write(COUNTER, mine["token"], counted)):
            return mine


def renew(store: Etcd, token: int) -> Holder:
    """Hold it for another lifetime from now on; raises Gone, Taken, or OSError without a majority."""
    holder = show(store)
    if holder is None:
        raise Gone
    if holder["token"] != token:
        raise Taken(holder)
    # Read again: a leader that was replaced a moment ago still renews leases.
    if not store.keep_alive(holder["lease"]) or (show(store) or {}).get("token") != token:
        raise Gone
    return holder


def release(store: Etcd, holder: Holder) -> None:
    """Give it back; where etcd is away it ends by itself."""
    _end(store, holder["lease"])


def show(store: Etcd) -> Holder | None:
    """Who holds it; raises OSError without a majority."""
    holder, _ = store.get(LOCK)
    return dict(holder) if holder else None


def _end(store: Etcd, lease: int) -> None:
    with contextlib.suppress(OSError):
        store.revoke(lease)

"""What the slots of this host hold, and who gets how much of the traffic.

/var/lib/till/slots.json: {"active": slot|null, "blue": version|null, "green": version|null,
"canary": {"slot", "percent" of the traffic, "until" (s since the epoch)}|null: a release that is being tried,
"sticky": {slot: kinds of tokens that lead there}, "digests": {slot: digest of artefact and configuration},
"checks": {slot: path that tells whether it can serve}, "metrics": {slot: path of its metrics},
"assets": {slot: beginning of the paths of its files whose names change with what is in them},
"served": versions that all traffic was led to and that were not taken back, the last one last,
"latest": slot of the last deploy|null, "intent": slot that a switch under way leads to|null}
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from till_host import files

SETTINGS = Path("/etc/till/app.json")
STATE = Path("/var/lib/till/slots.json")
LOCK = Path("/run/till-slots.lock")
SLOTS = ("blue", "green")
FULL = 100
# Releases that are remembered to have served; far more than stay on the disk.
SERVED_MAX = 50
# A session in a checkout stays with its release also when that one is being left; one that merely met two releases
# beside each other stays only as long as both get traffic.
CHECKOUT, SHARED = "checkout", "shared"


def settings() -> dict[str, Any]:
    return dict(json.loads(SETTINGS.read_text()))


def load() -> dict[str, Any]:
    nothing = dict.fromkeys(("active", *SLOTS, "canary", "latest", "intent"))
    empty: dict[str, Any] = {**nothing, "sticky": {}, "digests": {}, "checks": {}, "metrics": {}, "assets": {}}
    found = {**empty, **json.loads(STATE.read_text())} if STATE.exists() else empty
    # Written before it was remembered: what serves now did serve.
    return {"served": [found[found["active"]]] if found["active"] else [], **found}


def save(state: dict[str, Any]) -> None:
    files.replace(STATE, json.dumps(state, indent=2) + "\n")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One program at a time changes slots."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def other(slot: str) -> str:
    return SLOTS[1] if slot == SLOTS[0] else SLOTS[0]


def idle(state: dict[str, Any]) -> str:
    """The slot that takes the next release."""
    return other(state["active"]) if state["active"] else SLOTS[0]


def shares(state: dict[str, Any]) -> dict[str, int]:
    """Each slot's share of the traffic in percent."""
    canary = state["canary"] or {"slot": None, "percent": 0}
    return {
        slot: canary["percent"]
        if slot == canary["slot"]
        else FULL - canary["percent"]
        if slot == state["active"]
        else 0
        for slot in SLOTS
    }


def tried(state: dict[str, Any], slot: str, percent: int, lease_s: float) -> dict[str, Any]:
    """The state in which a release that is being tried gets so much of the traffic, for the lease's time."""
    return {
        **state,
        "canary": {"slot": slot, "percent": percent, "until": time.time() + lease_s},
        "sticky": {**state["sticky"], slot: [CHECKOUT, SHARED], state["active"]: [CHECKOUT, SHARED]},
        "intent": None,
    }


def led(state: dict[str, Any], slot: str | None, drop: bool) -> dict[str, Any]:
    """The state in which one slot has all the traffic. With `drop` nobody stays with another one, whatever they do."""
    left = (
        {} if drop else {one: [CHECKOUT] for one in SLOTS if one != slot and CHECKOUT in state["sticky"].get(one, [])}
    )
    kept = {slot: [CHECKOUT]} if slot else {}
    served = {"served": _served(state, slot, drop)}
    return {**state, "active": slot, "canary": None, "sticky": {**left, **kept}, "intent": None, **served}


def _served(state: dict[str, Any], slot: str | None, drop: bool) -> list[str]:
    """What a rollback may want back: a release that is taken back is no such one."""
    serves = state[slot] if slot else None
    back = state[state["active"]] if drop and state["active"] not in (None, slot) else None
    served = [one for one in state["served"] if one not in (serves, back)] + ([serves] if serves else [])
    return served[-SERVED_MAX:]


def token(state: dict[str, Any], slot: str, kind: str) -> str:
    """Leads to the slot whoever has it in a cookie. It follows from the slot's secrets, so nobody guesses it."""
    return hashlib.sha256(f"{kind} {slot} {state['digests'][slot]}".encode()).hexdigest()[:32]


def tokens(state: dict[str, Any]) -> dict[str, str]:
    """The slot of each token that leads somewhere now."""
    return {
        token(state, slot, kind): slot
        for slot, kinds in state["sticky"].items()
        if state[slot] and slot in state["digests"]
        for kind in kinds
    }

"""Who tells: what several hosts see is told by the first that claims it in etcd (docs/adr/0018). Pure.

The record of a subject is the list of what was told of it, each entry with `state`, `at` (when it was seen), `by`,
`event`, `claimed_at` and `delivered_at` (0: not yet). An event is the same as an entry that stands next to it in time
and says the same state: nothing else happened in between.
"""

from __future__ import annotations

from typing import Any

SEND, DROP, WAIT = "send", "drop", "wait"
KEPT = 40
Entry = dict[str, Any]


def verdict(record: list[Entry], event: dict[str, Any], now: float, takeover_s: float) -> tuple[str, Entry | None]:
    """What to do with an event, and the entry that says the same.

    A claim whose host delivered nothing within `takeover_s` is taken over: told twice is right, never is not.
    """
    same = _same(record, event)
    if same is None or same["event"] == event["id"]:
        return SEND, same
    if same["delivered_at"]:
        return DROP, same
    return (WAIT if now - same["claimed_at"] < takeover_s else SEND), same


def claimed(record: list[Entry], event: dict[str, Any], by: str, now: float, delivered: bool) -> list[Entry]:
    """The record with this event in it, in the place of an entry that says the same."""
    entry = {"state": event["state"], "at": event["at"], "by": by, "event": event["id"], "claimed_at": now}
    entry["delivered_at"] = now if delivered else 0
    same = _same(record, event)
    others = [one for one in record if one is not same]
    return sorted([*others, entry], key=lambda one: float(one["at"]))[-KEPT:]


def last_state(record: list[Entry]) -> str:
    return str(record[-1]["state"]) if record else ""


def _same(record: list[Entry], event: dict[str, Any]) -> Entry | None:
    own = next((one for one in record if one["event"] == event["id"]), None)
    if own is not None:
        return own
    before = [one for one in record if one["at"] <= event["at"]][-1:]
    after = [one for one in record if one["at"] > event["at"]][:1]
    return next((one for one in (*before, *after) if one["state"] == event["state"]), None)

"""When each channel is tried with what: in order, with growing pauses. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Patience:
    """Pause after a failure (s), growing by two up to the longest; failures after which an event holds up no other;
    time after which an event is given up (s)."""

    retry_s: float
    retry_max_s: float
    holds_up: int
    give_up_s: float


def pause_s(failures: int, patience: Patience) -> float:
    return float(min(patience.retry_max_s, patience.retry_s * 2 ** min(max(failures - 1, 0), 20)))


def missing(event: dict[str, Any], channels: Sequence[str]) -> list[str]:
    """The channels that have not taken an event."""
    return [key for key in channels if not event.get("channels", {}).get(key, {}).get("delivered_at")]


def failed(event: dict[str, Any], key: str) -> dict[str, Any]:
    """The event with one more failure of a channel."""
    known = event.get("channels", {})
    one = {**known.get(key, {}), "failures": known.get(key, {}).get("failures", 0) + 1}
    return {**event, "channels": {**known, key: one}}


def delivered(event: dict[str, Any], key: str, now: float) -> dict[str, Any]:
    known = event.get("channels", {})
    return {**event, "channels": {**known, key: {**known.get(key, {}), "delivered_at": round(now, 3)}}}


def holds_up(event: dict[str, Any], key: str, patience: Patience) -> bool:
    """Whether younger events wait for this one on a channel."""
    return int(event.get("channels", {}).get(key, {}).get("failures", 0)) < patience.holds_up


def given_up(event: dict[str, Any], now: float, patience: Patience) -> bool:
    return now - float(event["at"]) > patience.give_up_s

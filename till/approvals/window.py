"""The deployment window: whether it is open, when it opens next, and a sentence. Pure.

A rule is policy's (policy_deployment_window): days (as in DAYS), from and to ("02:00"; to is outside), time_zone (as in
the tz database); {} is open at any time. Clocks on the wall count, also where they are put forward or back.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from till.verdict import Verdict

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# A day's window can fall into the hour that clocks skip, so a week is not always enough.
SEARCHED = timedelta(days=15)
MINUTE = timedelta(minutes=1)


def is_open(rule: dict[str, Any], now: datetime) -> bool:
    """Whether a moment (with its zone) is inside. The drill's host decides alike (till_window.py, a test)."""
    if not rule:
        return True
    local = now.astimezone(ZoneInfo(rule["time_zone"]))
    begins, ends = time.fromisoformat(rule["from"]), time.fromisoformat(rule["to"])
    return DAYS[local.weekday()] in rule["days"] and begins <= local.time() < ends


def next_opening(rule: dict[str, Any], now: datetime) -> datetime | None:
    """`now` where it is open, else the first minute that is inside; in UTC; None where none ever is."""
    now = now.astimezone(UTC)
    if is_open(rule, now):
        return now
    # Minutes of real time: one that clocks skip never comes, one that they repeat comes twice.
    minutes = (now.replace(second=0, microsecond=0) + step * MINUTE for step in range(1, SEARCHED // MINUTE))
    return next((minute for minute in minutes if is_open(rule, minute)), None)


def sentence(rule: dict[str, Any]) -> str:
    """The rule for a person."""
    return f"{', '.join(rule['days'])} {rule['from']}-{rule['to']} {rule['time_zone']}" if rule else "at any time"


def judge(rule: dict[str, Any], now: datetime) -> Verdict:
    """Passed inside of the window; outside, the sentence says when it opens."""
    if not rule:
        return Verdict("window", True, "this stack may be deployed at any time")
    zone = ZoneInfo(rule["time_zone"])
    local = now.astimezone(zone)
    if is_open(rule, now):
        return Verdict("window", True, f"it is {local:%a %H:%M} there, the window is open until {rule['to']}")
    opens = next_opening(rule, now)
    then = f"it opens {opens.astimezone(zone):%a %Y-%m-%d %H:%M (%z)}" if opens else "it never opens"
    return Verdict("window", False, f"it is {local:%a %H:%M} there, the window is {sentence(rule)}; {then}")

"""When a drill may disturb those who pay. Pure."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def refusal(window: dict[str, Any], now_s: float) -> str:
    """Empty inside of the window or where there is none ({}), else a sentence.

    `window`: days (as in DAYS), from and to ("02:00"; to is outside), time_zone (as in the tz database).
    """
    if not window:
        return ""
    local = datetime.fromtimestamp(now_s, ZoneInfo(window["time_zone"]))
    begins, ends = time.fromisoformat(window["from"]), time.fromisoformat(window["to"])
    if DAYS[local.weekday()] in window["days"] and begins <= local.time() < ends:
        return ""
    told = f"{', '.join(window['days'])} {window['from']}-{window['to']} {window['time_zone']}"
    return f"it is {local:%a %H:%M} there, drills that disturb are held {told}"

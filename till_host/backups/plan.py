"""Which backup is due, and whether what the repository holds is as policy wants it. Pure.

`found` is one stanza in one repository as `pgbackrest info --output=json` tells it (pgBackRest's command reference);
times are seconds since the epoch.
"""

from __future__ import annotations

import re
from typing import Any

# Lines of `pgbackrest verify`.
INVALID = re.compile(r"invalid result (.+)")
STATUS = re.compile(r"^.*?\bstatus: (\w+)", re.MULTILINE)
HOUR_S = 3600
DAY_S = 24 * HOUR_S
TYPES = ("full", "diff", "incr")


def usable(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The backups that ended without an error, oldest first."""
    return [one for one in found.get("backup", []) if not one.get("error")]


def due(found: dict[str, Any], policy: dict[str, Any], now: float) -> str:
    """The type that is due now: a full after full_every_days, a differential after diff_every_hours, else an increment.

    What is nearly as old is old enough: the timer's jitter must not put a full backup off by six hours.
    """
    slack_s = policy["interval_hours"] * HOUR_S / 2
    backups = usable(found)
    fulls = [one["timestamp"]["stop"] for one in backups if one["type"] == "full"]
    diffs = [one["timestamp"]["stop"] for one in backups if one["type"] in ("full", "diff")]
    if not fulls or now - max(fulls) > policy["full_every_days"] * DAY_S - slack_s:
        return "full"
    if now - max(diffs) > policy["diff_every_hours"] * HOUR_S - slack_s:
        return "diff"
    return "incr"


def read_through(said: str) -> list[str]:
    """What `pgbackrest verify --output=text` found wrong: it ends with 0 all the same."""
    broken = [re.sub(r" \(?(?:\[FormatError\]|on retry).*", "", line) for line in INVALID.findall(said)]
    states = {state for state in STATUS.findall(said) if state not in ("ok", "valid")}
    return broken or [f"pgbackrest verify says: {state}" for state in sorted(states)]


def set_for(found: dict[str, Any], target_s: float | None) -> str | None:
    """The label of the newest backup that ended before the target (None: the newest); None when there is none.

    pgBackRest takes the newest set by itself, also one that is later than the target, and recovery then ends where
    that backup ended, not at the target.
    """
    labels = [one["label"] for one in usable(found) if target_s is None or one["timestamp"]["stop"] <= target_s]
    return labels[-1] if labels else None


def facts(found: dict[str, Any], now: float) -> dict[str, Any]:
    """What is there: status, backups (label, type, stop, bytes), the newest of each type, WAL from and to."""
    backups = usable(found)
    newest = {
        kind: max((one["timestamp"]["stop"] for one in backups if one["type"] == kind), default=None) for kind in TYPES
    }
    any_stop = max((stop for stop in newest.values() if stop), default=None)
    archive = found.get("archive") or [{}]
    return {
        "status": found.get("status", {}).get("message", "unknown"),
        "newest": {**newest, "any": any_stop},
        "age_s": None if any_stop is None else round(now - any_stop, 1),
        "failed": [one["label"] for one in found.get("backup", []) if one.get("error")],
        "wal_min": archive[-1].get("min"),
        "wal_max": archive[-1].get("max"),
        "encrypted": all(repository["cipher"] != "none" for repository in found.get("repo", [])),
        "backups": [
            {
                "label": one["label"],
                "type": one["type"],
                "repository": one["database"]["repo-key"],
                "start": one["timestamp"]["start"],
                "stop": one["timestamp"]["stop"],
                "wal_start": one["archive"]["start"],
                "wal_stop": one["archive"]["stop"],
                "database_bytes": one["info"]["size"],
                "repository_bytes": one["info"]["repository"]["delta"],
            }
            for one in found.get("backup", [])
            if not one.get("error")
        ],
    }


def recent(known: dict[str, Any]) -> list[str]:
    """The gaps behind which no backup has been begun: later ones are past by the newest backup."""
    starts = [one["wal_start"][8:] for one in known["backups"]]
    return [gap for gap in known["gaps"] if gap[-16:] >= max(starts, default="")]


def faults(known: dict[str, Any], policy: dict[str, Any]) -> list[str]:
    """Sentences for what is not as policy wants it.

    `known` are `facts` with gaps, and free_ratio and clock_offset_s (None where a repository has none of its own).
    """
    wrong = []
    if known["status"] != "ok":
        wrong.append(f"the repository says: {known['status']}")
    limit_s = policy["max_age_hours"] * HOUR_S
    if known["age_s"] is None:
        wrong.append("there is no backup: till backup now")
    elif known["age_s"] > limit_s:
        wrong.append(
            f"the newest backup is {known['age_s'] / HOUR_S:.1f} h old, policy allows {policy['max_age_hours']} h"
        )
    elif known["age_s"] < -policy["clock_offset_max_s"]:
        wrong.append(
            f"the newest backup is {-known['age_s'] / HOUR_S:.1f} h in the future: the clock of this host is wrong"
        )
    wrong += [f"backup {label} has errors: pages with wrong checksums" for label in known["failed"]]
    if not known["encrypted"]:
        wrong.append("the repository is not encrypted")
    if known["free_ratio"] is not None and known["free_ratio"] < policy["free_ratio_min"]:
        wrong.append(
            f"the repository's disk has {known['free_ratio']:.0%} left, policy asks {policy['free_ratio_min']:.0%}"
        )
    wrong += [
        f"WAL {gap} is missing: nothing after it can be had; till backup now --type full" for gap in recent(known)
    ]
    offset_s = known["clock_offset_s"]
    if offset_s is not None and abs(offset_s) > policy["clock_offset_max_s"]:
        wrong.append(
            f"this host's clock is {offset_s:+.0f} s off the leading database's: backups and targets would lie"
        )
    return wrong

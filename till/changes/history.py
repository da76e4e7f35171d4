"""The journal for a person: one row for each change. Pure."""

from __future__ import annotations

from typing import Any

# What an entry tells of the release it was about, and of how it ended, whatever the verb.
VERSIONS = ("new_version", "version")
REASONS = ("reason", "override", "why")


def rows(entries: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The newest `limit` (0: all), oldest first. Each: entry, at, by, verb, version, verdict, duration_s, reason."""
    numbered = list(enumerate(entries, start=1))
    return [_row(number, one) for number, one in (numbered[-limit:] if limit else numbered)]


def _row(number: int, one: dict[str, Any]) -> dict[str, Any]:
    role = f" {one['role']}{'/' + one['item'] if one['item'] else ''}" if "role" in one else ""
    return {
        "entry": number,
        "at": one["at"],
        "by": one.get("signed_by") or one["by"],
        "verb": f"{one['verb']}{role}",
        "version": _first(one, VERSIONS),
        "verdict": "revoked" if one.get("revoked") else one.get("verdict") or ("ok" if one["ok"] else "failed"),
        "duration_s": one.get("duration_s"),
        "reason": _first(one, REASONS),
    }


def _first(one: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(one[key]) for key in keys if one.get(key)), "")

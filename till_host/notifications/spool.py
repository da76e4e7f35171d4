"""What people are to be told, kept on this host until it is delivered: one JSON file for each event, oldest first.

An event: `kind` (start, switch, verified, heal, away, back, alert, resolved, failback, names, payments, release),
`severity` (info, success, warning, failure), `title`, `text`, `at` (s since the epoch), and where several hosts may see
the same thing `subject` and `state`: what is spoken of, and how it is now. `tell` false: kept for the timeline only.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from till_host import files

FOLDER = Path("/var/lib/till-notify")
Event = dict[str, Any]
PARTIAL_MAX_AGE_S = 60


def spool(folder: Path = FOLDER) -> Path:
    return folder / "spool"


def told(folder: Path = FOLDER) -> Path:
    return folder / "told"


def put(event: Event, host: str, folder: Path = FOLDER) -> Event:
    """Keep an event, safe from a power cut when this returns; returns it with its id. Raises OSError."""
    at = float(event.get("at") or time.time())
    word = re.sub(r"[^a-z]", "", str(event["kind"]))
    name = f"{int(at * 1000):014d}-{word}-{host}-{secrets.token_hex(2)}"
    whole = {"subject": "", "state": "", "severity": "info", "tell": True, "facts": {}, **event}
    whole |= {"id": name, "at": round(at, 3), "host": host}
    keep(whole, spool(folder))
    return whole


def keep(event: Event, folder: Path) -> None:
    """Write an event so that a reader sees the old one, the new one or none, also after a power cut."""
    files.replace(folder / f"{event['id']}.json", json.dumps(event, sort_keys=True) + "\n", 0o640)


def events(folder: Path) -> Iterator[Event]:
    """The events of a folder, oldest first; a file that is no event is passed over."""
    for path in sorted(folder.glob("*.json")):
        try:
            event = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(event, dict) and event.get("id") == path.stem:
            yield event


def done(event: Event, folder: Path = FOLDER) -> None:
    """Delivered, or told by somebody else, as its `outcome` says: out of the spool, kept for the timeline."""
    keep({**event, "done_at": round(time.time(), 3)}, told(folder))
    (spool(folder) / f"{event['id']}.json").unlink(missing_ok=True)


def sweep(folder: Path = FOLDER) -> None:
    """Nothing stays in the spool that is no event: the rest of a write that was cut off, a file that can't be read."""
    whole = {event["id"] for event in events(spool(folder))}
    for path in spool(folder).iterdir():
        if path.suffix == ".json" and path.stem not in whole:
            path.replace(told(folder) / f"{path.name}.unreadable")
        elif path.suffix == ".partial" and time.time() - path.stat().st_mtime > PARTIAL_MAX_AGE_S:
            path.unlink(missing_ok=True)


def forget(kept: int, folder: Path = FOLDER) -> None:
    """Of what was told, keep the newest."""
    for path in sorted(told(folder).glob("*.json"))[:-kept]:
        path.unlink(missing_ok=True)

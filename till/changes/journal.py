"""What happened, append-only: one JSON line per change, each chained to the one before by its hash."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till.errors import TillError

GENESIS = "0" * 64


def _digest(entry: dict[str, Any]) -> str:
    body = {key: value for key, value in entry.items() if key != "hash"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _entry(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def read(path: Path) -> list[dict[str, Any]]:
    """All entries, oldest first; raises TillError naming the first that can't be read."""
    if not path.exists():
        return []
    entries = [_entry(line) for line in path.read_text(errors="replace").splitlines() if line]
    readable = [entry for entry in entries if entry is not None]
    if len(readable) < len(entries):
        raise TillError(f"journal {path}: entry {entries.index(None) + 1} can't be read", f"less {path}")
    return readable


def account() -> str:
    """Who runs this, and on which machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def append(path: Path, verb: str, ok: bool, facts: dict[str, Any]) -> dict[str, Any]:
    """Add an entry and return it. `facts` must hold no secret: callers redact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", errors="replace") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = [line for line in file.read().splitlines() if line][-1:]
        before = _entry(last[0]) if last else {"hash": GENESIS}
        if before is None or not isinstance(before.get("hash"), str):
            raise TillError(f"journal {path}: its last entry can't be read; nothing was added", f"less {path}")
        entry: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "by": account(),
            "verb": verb,
            "ok": ok,
            **facts,
            "previous": before["hash"],
        }
        entry["hash"] = _digest(entry)
        file.write(json.dumps(entry, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return entry


def verify(path: Path) -> int:
    """Check the chain; returns how many entries hold. Raises TillError naming the first that does not."""
    previous = GENESIS
    entries = read(path)
    for number, entry in enumerate(entries, start=1):
        if entry.get("previous") != previous or entry.get("hash") != _digest(entry):
            raise TillError(
                f"journal {path}: entry {number} was changed or removed after it was written", f"less {path}"
            )
        previous = entry["hash"]
    return len(entries)

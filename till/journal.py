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


def read(path: Path) -> list[dict[str, Any]]:
    """All entries, oldest first."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def append(path: Path, verb: str, ok: bool, facts: dict[str, Any]) -> dict[str, Any]:
    """Add an entry and return it. `facts` must hold no secret: callers redact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = [line for line in file.read().splitlines() if line][-1:]
        try:
            previous = json.loads(last[0])["hash"] if last else GENESIS
        except (ValueError, KeyError):
            raise TillError(
                f"journal {path}: its last entry can't be read; nothing was added", f"less {path}"
            ) from None
        entry: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "by": f"{getpass.getuser()}@{socket.gethostname()}",
            "verb": verb,
            "ok": ok,
            **facts,
            "previous": previous,
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

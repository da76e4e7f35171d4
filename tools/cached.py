"""The cache: an entry is there whole or not at all, and two checkouts never build the same one at once."""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.paths import cache


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock of that name; the kernel lets go of it when the process dies."""
    folder = cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def new_entry(entry: Path) -> Iterator[Path]:
    """A path beside `entry` to build at; moved onto it when the block ends well, removed otherwise.

    Callers hold a lock: what a killed build of the same entry left is removed first.
    """
    with workplace(entry) as folder:
        made = folder / entry.name
        yield made
        if entry.is_dir():
            entry.rename(folder / "replaced")
        made.replace(entry)


@contextmanager
def workplace(entry: Path) -> Iterator[Path]:
    """An empty folder beside `entry` for the block; callers hold a lock, as for `new_entry`."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{entry.name}.new-"
    for left in entry.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=entry.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _records_file() -> Path:
    return cache() / "state.json"


def records() -> dict[str, dict[str, Any]]:
    """What set-up recorded, by tool: version, path, came_by, verified_by, at."""
    try:
        document: dict[str, dict[str, Any]] = json.loads(_records_file().read_text())
    except FileNotFoundError:
        return {}
    return document


def record(tool: str, *, version: str, path: Path | str, came_by: str, verified_by: str) -> str:
    """Note which way a tool came, for `till doctor`; returns `came_by`."""
    with locked("state"):
        document = records()
        document[tool] = {
            "version": version,
            "path": str(path),
            "came_by": came_by,
            "verified_by": verified_by,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with new_entry(_records_file()) as made:
            made.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return came_by


def came_by(tool: str) -> str:
    """Which way a recorded tool came, or "unknown"."""
    return str(records().get(tool, {}).get("came_by", "unknown"))

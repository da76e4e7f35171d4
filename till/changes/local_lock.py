"""One change per stack at a time: a lock that names its holder and survives the holder's crash."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till.errors import Refused, TillError
from till_host import files

# Writing a page and an entry takes a second; a slow machine with many gets its time.
RECORDS_WITHIN_S = 60.0
RECORDS_POLL_S = 0.05


def boot_id() -> str:
    """The kernel's own mark of this start of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def holder(path: Path) -> dict[str, Any]:
    """Who wrote the lock file last; empty when nobody did."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


@contextmanager
def hold_local_lock(path: Path, verb: str) -> Iterator[None]:
    """Hold the stack's lock. Raises Refused naming the holder when somebody has it.

    The kernel holds the lock (flock), so it ends with its holder, however that one ends; the file only tells who it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = holder(path)
            raise Refused(
                f"stack {path.stem} is locked: {other.get('verb', 'a change')} by {other.get('user', '?')}"
                f" on {other.get('host', '?')} (process {other.get('pid', '?')}) since {other.get('since', '?')}",
                "wait for it, or ask its holder",
            ) from None
        file.truncate(0)
        file.write(
            json.dumps(
                {
                    "verb": verb,
                    "user": getpass.getuser(),
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "boot_id": boot_id(),
                    "since": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )
        )
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def hold_records_lock(path: Path, within_s: float = RECORDS_WITHIN_S) -> Iterator[None]:
    """Wait for the turn to write down what hosts did; nothing in the block may wait for a host.

    Apart from the stack's lock: who only looks (status, history, watch, drill list) writes it down too, and must not be
    refused while a change goes on. Raises TillError when the turn does not come.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            files.wait_for_lock(file, within_s, RECORDS_POLL_S)
        except TimeoutError:
            raise TillError(
                f"another till has been writing records of this stack for {within_s:g} s", f"fuser -v {path}"
            ) from None
        yield

"""Processes that a run started, wherever they have gone: found by a mark in their environment, and ended."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

MARK = "TILL_WORKPLACE"
GRACE_S = 2.0
STEP_S = 0.05


def marked(folder: Path) -> list[int]:
    """Process ids of the run that works in `folder`, this process not counted."""
    wanted = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in entry.read_bytes().split(b"\0") and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
    return found


def end(folder: Path) -> None:
    """End them all: asked first, killed after GRACE_S.

    ansible-core's workers lead sessions of their own, so that killing the playbook's group misses them: they would go
    on, and write into a folder that was removed.
    """
    for number, grace_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        deadline = time.monotonic() + grace_s
        left = marked(folder)
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        while left and time.monotonic() < deadline:
            time.sleep(STEP_S)
            left = marked(folder)
        if not left:
            return

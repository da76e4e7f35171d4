"""Pulumi as a child: its lines as they come, a deadline, an orderly end; and the locks of one that was killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from till.paths import STATE

# After the first signal Pulumi ends what it is doing and saves its state.
GRACE_S = 120
LOCKS = STATE / "pulumi" / ".pulumi" / "locks"


def stream(
    command: list[str], say: Callable[[str], None], timeout_s: int, grace_s: int = GRACE_S
) -> tuple[int, list[str]]:
    """Run a command; returns its exit code and lines. When this process is interrupted, it ends in order first."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "NO_COLOR": "1"}, cwd=STATE.parent,
        # A Ctrl-C at the terminal would reach it twice, and the second one makes Pulumi drop its state.
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    seen: list[str] = []
    deadline = threading.Timer(timeout_s, process.send_signal, [signal.SIGINT])
    deadline.start()
    try:
        for line in process.stdout:
            seen.append(line)
            if line.strip():
                say(line.rstrip())
        return process.wait(), seen
    except BaseException:
        process.send_signal(signal.SIGINT)
        say("Pulumi is told to stop; it ends what it began")
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        deadline.cancel()


def release_dead_locks(stack: str, folder: Path = LOCKS) -> bool:
    """Whether every lock of a stack is of a process of this machine that is gone. Locks of others are left alone."""
    found = [json.loads(path.read_text()) for path in folder.glob(f"**/{stack}/*.json")]
    return bool(found) and all(
        lock.get("hostname") == socket.gethostname() and not _lives(lock["pid"]) for lock in found
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

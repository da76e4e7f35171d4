"""Files that are whole whatever happens: a reader sees the old one or the new one, and so does who comes after a power
cut. What has to outlive a power cut is written by `replace`; what is written all the time and can be made anew, by
`publish`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import IO


def replace(path: Path, content: str, mode: int = 0o644) -> None:
    """Write a file in one step; it and its name are on the disk when this returns. Raises OSError."""
    _write(path, content, mode, durable=True)
    sync(path.parent)


def publish(path: Path, content: str, mode: int = 0o644) -> None:
    """The same for readers only: a power cut may leave the old one. Raises OSError."""
    _write(path, content, mode, durable=False)


def _write(path: Path, content: str, mode: int, durable: bool) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # Nobody else may read what is to be secret, and whatever the umask, who is to read it can.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name, which is on the disk when this returns. Raises OSError."""
    source.replace(target)
    for folder in dict.fromkeys((target.parent, source.parent)):
        sync(folder)


def point(link: Path, goal: Path | str) -> None:
    """Lead a symbolic link elsewhere in one step, on the disk when this returns. Raises OSError."""
    partial = link.with_name(f".{link.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(goal)
    move(partial, link)


def sync(path: Path) -> None:
    """Have a file's content or a folder's names on the disk. Raises OSError."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def wait_for_lock(file: IO[str], within_s: float, poll_s: float) -> None:
    """Hold an open file's lock (flock) until it is closed. Raises TimeoutError where somebody else keeps it."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{file.name} is held by somebody else for {within_s:g} s") from None
        time.sleep(poll_s)

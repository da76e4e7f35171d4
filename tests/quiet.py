"""Two halves of the tests share one machine: a test that is marked `quiet` waits until it has it for itself."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def held(file: Path, how: int) -> Iterator[None]:
    """A lock of the system's on a file, which goes with its process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, how)
        yield


@contextmanager
def beside_others(folder: Path, quiet: bool) -> Iterator[None]:
    """For the time of a test on a lab: alone where it is `quiet`, else beside others that are not.

    Whoever waits keeps the turn, so that the other half's next test comes after it.
    """
    with ExitStack() as until_over:
        with held(folder / "turn", fcntl.LOCK_EX):
            until_over.enter_context(held(folder / "machine", fcntl.LOCK_EX if quiet else fcntl.LOCK_SH))
        yield

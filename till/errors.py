"""Errors that say what, where, and the next command; each has the exit code of the design."""

from __future__ import annotations

import traceback
from typing import Any


class TillError(Exception):
    """A failure of ours (exit code 1)."""

    exit_code = 1

    def __init__(self, message: str, next_command: str = "", facts: dict[str, Any] | None = None) -> None:
        """`facts` is what was measured until then: it goes into the verb's JSON."""
        super().__init__(message)
        self.message = message
        self.next_command = next_command
        self.facts = facts or {}

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_command}" if self.next_command else self.message


class UsageError(TillError):
    """Bad usage or configuration."""

    exit_code = 2


class GateSaidNo(TillError):
    """A gate said no and the old state was kept."""

    exit_code = 3


class HostUnreachable(TillError):
    """A host can't be reached, or is not the host that was pinned."""

    exit_code = 4


class Interrupted(TillError):
    """Ctrl-C or a SIGTERM (the shell's code for it)."""

    exit_code = 130


class Unexpected(TillError):
    """A fault of Till itself: where it came from, but not its words, which could hold secrets of a contract."""

    def __init__(self, reason: BaseException) -> None:
        """`lines` is the way to the place, for whoever mends it."""
        frames = traceback.extract_tb(reason.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
        super().__init__(f"unexpected {type(reason).__name__} at {place}", "report it with the lines above")
        self.lines = "".join(traceback.format_list(frames))


def error_of(reason: BaseException, interrupted: str) -> TillError:
    """Whatever ended something, as an error of ours; `interrupted` is the sentence for Ctrl-C and SIGTERM. Pure."""
    if isinstance(reason, TillError):
        return reason
    return Interrupted(interrupted) if isinstance(reason, KeyboardInterrupt) else Unexpected(reason)


class Refused(TillError):
    """A lock, a window, a missing sign-off or confirmation."""

    exit_code = 5

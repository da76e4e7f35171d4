"""The error of a set-up step: what failed, where, and what to do next."""

from __future__ import annotations


class StepFailed(Exception):
    """A step could not do its work. `next_command` is what the reader should run or mend."""

    def __init__(self, what: str, next_command: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_command = next_command


class Unreachable(Exception):
    """An address did not answer, or does not have the file: another way may be tried."""


class BadChecksum(StepFailed):
    """Downloaded bytes differ from the pinned ones. Never a reason to try another way in silence."""

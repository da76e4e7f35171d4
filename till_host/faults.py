"""What programs of hosts raise for whoever asked; a program prints the text and ends with 1."""

from __future__ import annotations


class Fault(Exception):
    """What does not hold or can't be done, as a sentence that says where and, where there is one, the next command.

    `code` is the exit code of the program that was asked (pgBackRest), 0 where none was.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Waits(Exception):
    """Nothing was moved; the text says what has to be over first."""

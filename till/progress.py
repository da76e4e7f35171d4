"""What a person sees while something runs: one live line on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Progress:
    """Tells phases, plays, tasks and hosts as they happen, and keeps the time of each phase (seconds)."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.phases: dict[str, float] = {}
        self._began = time.monotonic()
        self._task = ""
        self._status = self.console.status("") if self.console.is_terminal and not quiet else None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self.console.print(f"[bold]== {name}[/bold]")
        if self._status:
            self._status.start()
        try:
            yield
        finally:
            self.phases[name] = round(time.monotonic() - began, 1)
            if self._status:
                self._status.stop()

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._began)
        return f"{seconds // 60:02d}:{seconds % 60:02d}"

    def say(self, text: str) -> None:
        self.console.print(f"{self._clock()}  {text}", markup=False, soft_wrap=True)

    def play(self, name: str) -> None:
        self.say(name)

    def task(self, name: str) -> None:
        self._task = name
        if self._status:
            self._status.update(f"{self._clock()}  {name}")

    def host(self, host: str, outcome: str) -> None:
        """A host is through with the task that runs; only what differs from `ok` makes a line."""
        if outcome in ("changed", "failed", "unreachable"):
            self.say(f"  {outcome:<8} {host:<8} {self._task}")
        elif self._status:
            self._status.update(f"{self._clock()}  {self._task}: {host} {outcome}")

"""Visits from a process of their own: what asks hosts meanwhile does not share an interpreter with the clock."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType

from benchmarks.visits import TIMEOUT_S, Visit, Visited, Visits
from infra.contract import Contract
from till.errors import TillError

# A process that imports what visits need begins within that.
BEGUN_WITHIN_S = 60
TELL_INTERVAL_S = 0.1


@dataclass
class VisitsApart(Visited):
    """As `Visits`, and `all` holds what was told until now; raises TillError when the process ends before its time."""

    contract: Contract
    per_s: float
    limit_s: float = 180
    port: int = 443
    all: list[Visit] = field(default_factory=list)

    def __enter__(self) -> VisitsApart:
        # Not forked: threads of this one may hold a lock.
        context = multiprocessing.get_context("spawn")
        self._link, there = context.Pipe()
        settings = (there, self.contract, self.per_s, self.limit_s, self.port)
        self._process = context.Process(target=visit, args=settings, daemon=True)
        self._process.start()
        there.close()
        if not self._begun():
            self._process.kill()
            raise TillError("visits did not begin; why stands above")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _v: BaseException | None, _t: TracebackType | None) -> None:
        with suppress(OSError):
            self._link.send(None)
        self._process.join(TIMEOUT_S + 10)
        self._process.kill()
        self._process.join()
        self._reader.join(TIMEOUT_S)
        if self._process.exitcode and kind is None:
            raise TillError("visits ended before their time; why stands above")

    def _begun(self) -> bool:
        try:
            return self._link.poll(BEGUN_WITHIN_S) and self._link.recv() == []
        except (EOFError, OSError):
            return False

    def _read(self) -> None:
        try:
            while True:
                self.all += self._link.recv()
        except (EOFError, OSError):
            return


def visit(link: Connection, contract: Contract, per_s: float, limit_s: float, port: int) -> None:
    """Visit until something comes over the link; tell each visit over it once, an empty list at the beginning."""
    # A terminal's Ctrl-C is for whoever asked: that one ends the visits.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Visits(contract, per_s, limit_s=limit_s, port=port) as visits:
        told = 0
        link.send([])
        while not link.poll(TELL_INTERVAL_S):
            new = visits.all[told:]
            if new:
                link.send(new)
                told += len(new)
    link.send(visits.all[told:])
    link.close()

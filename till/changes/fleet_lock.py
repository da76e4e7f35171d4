"""One change per stack at a time, from whichever machine: a lease in the fleet's etcd, with a token that hosts check.

It stands beside the lock of this machine (till/changes/local_lock.py), which is taken first. How it is held:
docs/adr/0020.
"""

from __future__ import annotations

import getpass
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from till.changes import local_lock
from till.changes.lock_connection import LockConnection, reachable_members
from till.errors import HostUnreachable, Refused, TillError
from till.hosts.session import Session
from till.paths import lock_file
from till.policy import thresholds
from till.progress import Progress

RETRY_S = 0.5
DECIDED = ("token", "refused", "gone")


def _now() -> float:
    """Seconds that go on while this machine sleeps: what was held before it slept may be somebody else's."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LockHold:
    """The lock in etcd while it is held. `token` rises from one holder to the next; 0: it is not held in etcd."""

    def __init__(self, session: Session, words: list[str], policy: dict[str, Any]) -> None:
        self.token, self.lost, self.why = 0, threading.Event(), ""
        self._session, self._words, self._policy = session, words, policy
        self._connection: LockConnection | None = None
        self._until = math.inf
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)

    def check(self) -> None:
        """Raises TillError when somebody else may hold the lock by now."""
        if _now() >= self._until:
            self._lose("it could not be renewed in time")
        if self.lost.is_set():
            stack = self._session.contract.stack
            raise TillError(f"this change has lost the lock of stack {stack}: {self.why}", f"till status {stack}")

    def take(self) -> None:
        """Take it and keep it; raises Refused, HostUnreachable, or TillError where etcd has no majority."""
        stack, began = self._session.contract.stack, _now()
        self._connection, told = self._asked(self._words)
        if "refused" in told:
            self._connection.end()
            raise _Taken(told["refused"], stack, self._policy["lifetime_s"])
        self.token, self._until = int(told["token"]), began + self._policy["lifetime_s"]
        self._keeper.start()

    def end(self) -> None:
        """Give it back; what can't be given back ends by itself."""
        if self._connection is None or not self.token:
            return
        self._over.set()
        self._keeper.join(self._policy["start_deadline_s"])
        if self._keeper.is_alive() or self.lost.is_set():
            self._connection.end()
        else:
            self._connection.leave(self._policy["answer_deadline_s"])

    def _keep(self) -> None:
        while not self.lost.is_set() and not self._over.wait(self._policy["beat_s"]):
            assert self._connection is not None
            began = _now()
            self._connection.say("beat")
            told = self._connection.answer(self._policy["answer_deadline_s"])
            if not self._decided(told, began):
                self._resume()

    def _resume(self) -> None:
        """Go on by whichever member can still renew it."""
        while not self._over.is_set() and not self.lost.is_set():
            assert self._connection is not None
            self._connection.end()
            began = _now()
            try:
                self._connection, told = self._asked(
                    [*self._words, f"--resume={self.token}"], last=self._connection.host
                )
            except TillError as reason:
                if _now() >= self._until:
                    self._lose(reason.message)
                self._over.wait(RETRY_S)
            else:
                self._decided(told, began)
                return

    def _decided(self, told: dict[str, Any], began: float) -> bool:
        """Whether an answer says that it is held still, or that it is lost."""
        if told.get("token") == self.token:
            # From before it was asked for: etcd counts from a later moment.
            self._until = began + self._policy["lifetime_s"]
        elif "refused" in told:
            self._lose(named(told["refused"]))
        elif "gone" in told:
            self._lose("it ended before it was renewed")
        else:
            return False
        return True

    def _lose(self, why: str) -> None:
        self.why = self.why or why
        self.lost.set()

    def _members(self, last: str) -> Iterator[str]:
        """Members that answer. `last` was silent just now: to look for it would take time from the others."""
        timeout_s = self._policy["reach_timeout_s"]
        try:
            yield from reachable_members(self._session, timeout_s, without=last)
        except HostUnreachable:
            if not last:
                raise
        if last:
            yield last

    def _asked(self, words: list[str], last: str = "") -> tuple[LockConnection, dict[str, Any]]:
        """The first member that decides, `last` asked last; raises HostUnreachable or TillError when none does."""
        faults, not_there = [], False
        for host in self._members(last):
            connection = LockConnection(self._session, host, *words)
            told = connection.answer(self._policy["start_deadline_s"])
            if any(word in told for word in DECIDED):
                return connection, told
            faults.append(connection.fault())
            not_there |= connection.not_there
        stack = self._session.contract.stack
        raise TillError(
            f"the lock of stack {stack} can't be held in etcd: {'; '.join(faults)}",
            f"till provision {stack}" if not_there else f"till status {stack}",
        )


class _Taken(Refused):
    """Somebody holds it. `place` is the holder's machine's lock."""

    def __init__(self, holder: dict[str, Any], stack: str, lifetime_s: int) -> None:
        super().__init__(
            f"stack {stack} is locked: {named(holder)}",
            f"wait for it, or ask its holder; a dead holder's lock ends within {lifetime_s} s: till status {stack}",
        )
        self.place = holder.get("place", "")


def named(holder: dict[str, Any]) -> str:
    """A holder, for a person."""
    return f"{holder['verb']} by {holder['by']} on {holder['host']} since {holder['since']}"


def place(stack: str) -> str:
    """What only the same lock of the same machine says: who holds that one knows that no other holder of it lives."""
    path = lock_file(stack)
    if not path.exists():
        return ""
    found = path.stat()
    return f"{local_lock.boot_id()}:{found.st_dev}:{found.st_ino}"


@contextmanager
def hold_fleet_lock(session: Session, verb: str, progress: Progress | None = None) -> Iterator[LockHold]:
    """Hold the stack's lock in etcd; this machine's own is held by the caller.

    Raises Refused naming the holder. Where policy says that a verb does not need etcd, it goes on without and says so.
    """
    policy, stack = thresholds()["lease"], session.contract.stack
    here, since = place(stack), datetime.now(UTC).isoformat(timespec="seconds")
    said = {"verb": verb, "by": getpass.getuser(), "host": socket.gethostname(), "since": since, "place": here}
    words = [f"--{key}={value}" for key, value in said.items()] + [f"--lifetime-s={policy['lifetime_s']}"]
    patience = _now() + policy["lifetime_s"] + policy["beat_s"]
    while True:
        lease = LockHold(session, words, policy)
        try:
            lease.take()
            break
        except _Taken as reason:
            # A change of this machine that was killed: we hold the lock that it held.
            if not here or reason.place != here or _now() > patience:
                raise
            time.sleep(RETRY_S)
        except TillError as reason:
            if verb.partition(" ")[0] not in policy["not_needed_by"]:
                raise
            if progress:
                progress.say(f"{reason.message}; only this machine's lock keeps other changes away")
            break
    try:
        yield lease
    finally:
        lease.end()

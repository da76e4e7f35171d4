"""Conversations with the program `lease` on hosts with etcd: words to it, answers with a deadline."""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from infra.contract import Role
from till.errors import HostUnreachable, TillError
from till.fan_out import at_once
from till.hosts import programs, reach
from till.hosts.programs import FOLDER, NOT_THERE
from till.hosts.session import UNREACHED, Session
from till.policy import thresholds

END_S = 2.0


class LockConnection:
    """One connection. It is never silent about its end: `answer` is {} then, and `fault` says why."""

    def __init__(self, session: Session, host: str, *words: str) -> None:
        self.host = host
        self.not_there = False
        self._process = session.talk(host, shlex.join([f"{FOLDER}/lease", "hold", *words]))
        self._read = b""

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        # Who is gone does not answer either.
        with suppress(OSError):
            self._process.stdin.write(f"{word}\n".encode())

    def answer(self, deadline_s: float) -> dict[str, Any]:
        """The next answer; {} when there was none in time, or there will be none any more."""
        assert self._process.stdout is not None
        deadline, source = time.monotonic() + deadline_s, self._process.stdout.fileno()
        while b"\n" not in self._read:
            ready, _, _ = select.select([source], [], [], max(0.0, deadline - time.monotonic()))
            found = os.read(source, 4096) if ready else b""
            if not found:
                return {}
            self._read += found
        line, _, self._read = self._read.partition(b"\n")
        try:
            return dict(json.loads(line))
        except ValueError:
            return {}

    def fault(self) -> str:
        """Why there was no answer; ends the conversation."""
        ended = self._process.poll()
        with suppress(subprocess.TimeoutExpired):
            # A program that says nothing more has mostly ended a moment later.
            ended = self._process.wait(0.2)
        said = self.end()
        self.not_there = ended == NOT_THERE or "command not found" in said
        if self.not_there:
            return f"{self.host} has no program for the stack's lock"
        if ended == UNREACHED:
            return f"{self.host} can't be reached by SSH: {said}"
        return f"{self.host}: {said or 'no answer in time'}"

    def leave(self, deadline_s: float) -> None:
        """Give the lock back and end."""
        self.say("release")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(deadline_s)
        self.end()

    def end(self) -> str:
        """End the connection; what stood on stderr."""
        self._process.kill()
        try:
            _, said = self._process.communicate(timeout=END_S)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            return ""
        return said.decode(errors="replace").strip().removeprefix("lease: ")[-600:]


def reachable_members(session: Session, timeout_s: float, without: str = "") -> list[str]:
    """Hosts with etcd where an SSH server answers, one of them left out; raises HostUnreachable when there is none."""
    members = [host for host in session.contract.hosts if Role.ETCD in host.roles and host.name != without]
    told = at_once(lambda host: reach.ask_ssh(host.address, host.port, timeout_s), members)
    found = [host for host, fault in told.items() if not fault]
    if not found:
        stack = session.contract.stack
        raise HostUnreachable(f"no host with etcd can be reached by SSH: {told}", f"till status {stack}")
    return found


def read_holder(session: Session, unreached: Collection[str]) -> dict[str, Any] | None:
    """Who holds the lock in etcd, as the first member that answers says; raises TillError."""
    members = [one.name for one in session.contract.hosts if Role.ETCD in one.roles and one.name not in unreached]
    faults = []
    for host in members:
        try:
            told: dict[str, Any] = programs.run_host_program(
                session, host, "lease", "show", timeout_s=thresholds()["lease"]["start_deadline_s"],
                next_command=f"till status {session.contract.stack}",
            )  # fmt: skip
        except TillError as reason:
            faults.append(reason.message)
        else:
            return told["holder"] if told["holder"] is None else dict(told["holder"])
    raise TillError(f"who holds the stack's lock can't be told: {'; '.join(faults) or 'no host with etcd'}")

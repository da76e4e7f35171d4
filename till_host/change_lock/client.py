"""The stack's lock for as long as the watch takes a release back, by the host's own program `lease` (docs/adr/0020)."""

from __future__ import annotations

import json
import select
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from till_host.faults import Fault, Waits

PROGRAM = "/opt/till-host/current/bin/lease"
BY = "till-release-watch"


class Held:
    """The lock while it is held: a beat renews it, `check` raises Fault once it may be somebody else's."""

    def __init__(self, token: int, process: subprocess.Popen[bytes], policy: dict[str, Any], until: float) -> None:
        self.token = token
        self._process, self._policy, self._until = process, policy, until
        self._over, self._lost = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def check(self) -> None:
        if self._lost.is_set() or _now() >= self._until:
            raise Fault("the watch has lost the lock of the stack")

    def end(self) -> None:
        self._over.set()
        self._keeper.join(self._policy["answer_deadline_s"])
        if not self._lost.is_set():
            _say(self._process, "release")
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self._policy["answer_deadline_s"])

    def _keep(self) -> None:
        while not self._over.wait(self._policy["beat_s"]):
            began = _now()
            _say(self._process, "beat")
            told = _heard(self._process, self._policy["answer_deadline_s"])
            if told.get("token") == self.token:
                self._until = began + self._policy["lifetime_s"]
            elif "away" not in told:
                self._lost.set()
                return


@contextmanager
def held(verb: str, host: str, policy: dict[str, Any]) -> Iterator[Held]:
    """Hold it; raises Waits where somebody else does, or where it can't be held."""
    since = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    said = {"verb": verb, "by": BY, "host": host, "since": since, "lifetime-s": str(policy["lifetime_s"])}
    command, began = [PROGRAM, "hold", *(f"--{key}={value}" for key, value in said.items())], _now()
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    except OSError as reason:
        raise Waits(f"the lock of the stack can't be held from here: {reason}") from None
    try:
        told = _heard(process, policy["start_deadline_s"])
        if "refused" in told:
            holder = told["refused"]
            raise Waits(
                f"{holder['verb']} by {holder['by']} on {holder['host']} since {holder['since']} holds the lock"
            )
        if "token" not in told:
            process.kill()
            assert process.stderr is not None
            raise Waits(f"the lock of the stack can't be held: {process.stderr.read().decode()[-300:] or 'no answer'}")
        one = Held(int(told["token"]), process, policy, began + policy["lifetime_s"])
        try:
            yield one
        finally:
            one.end()
    finally:
        process.kill()
        process.communicate()


def _now() -> float:
    """Seconds that go on while this machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _say(process: subprocess.Popen[bytes], word: str) -> None:
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.write(f"{word}\n".encode())


def _heard(process: subprocess.Popen[bytes], deadline_s: float) -> dict[str, Any]:
    """The next answer; {} when there is none in time, or none any more."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], deadline_s)
    try:
        return dict(json.loads(process.stdout.readline())) if ready else {}
    except ValueError:
        return {}

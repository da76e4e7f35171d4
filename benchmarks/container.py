"""The benchmark's one container: made from the lab's image, removed whatever happens, gone by itself after a while."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from infra.lab import docker, machine

CHECKOUT = Path(__file__).resolve().parent.parent
LABEL = "till.benchmark"
WORK = "/bench"
PROGRAMS = "/opt/till-host/current"
MEASURE = f"{PROGRAMS}/measure.py"
# PID 1 also collects a stopped PostgreSQL, without which pg_ctl would wait for it in vain.
PID_1 = 'sleep "$1" & wait $!'
EXIT_TERMINATED = 128 + signal.SIGTERM


class Container:
    """A running container with a volume on WORK, for what must not lie on an overlay."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shell(self, script: str, *arguments: str, timeout_s: float) -> str:
        """Run a script as root; its stdout. Raises DockerError."""
        return docker.execute(self.name, f"set -eu\n{script}", *arguments, timeout_s=timeout_s)

    def measure(self, does: str, timeout_s: float, **request: Any) -> dict[str, Any]:
        """Ask files/measure.py; raises DockerError with its last words."""
        told = docker.run(
            "exec", self.name, "python3", MEASURE, json.dumps({"does": does, **request}), timeout_s=timeout_s
        )
        answer: dict[str, Any] = json.loads(told)
        return answer


@contextmanager
def running(image: str, lifetime_s: int) -> Iterator[Container]:
    """The container, for at most `lifetime_s`; it and its volume are removed at the end, also after SIGTERM."""
    before = signal.signal(signal.SIGTERM, _terminated)
    name = f"till-benchmark-restore-{os.getpid()}"
    try:
        _remove_ended()
        docker.run(
            *("run", "--detach", "--rm", "--name", name, "--label", f"{LABEL}=restore", "--network", "none"),
            *("--shm-size", f"{machine.SHM_MB}m"),
            *("--volume", WORK, image, "sh", "-c", PID_1, "sh", str(lifetime_s)),
        )
        container = Container(name)
        container.shell(f"mkdir -p {PROGRAMS}", timeout_s=30)
        for path in (CHECKOUT / "till_host", CHECKOUT / "benchmarks" / "files" / "measure.py"):
            docker.run("cp", str(path), f"{name}:{PROGRAMS}/{path.name}")
        yield container
    finally:
        # A second signal must not cut the removal short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if docker.inspect("container", name) is not None:
                docker.run("rm", "--force", "--volumes", name, timeout_s=300)
        finally:
            signal.signal(signal.SIGINT, interrupted)
            signal.signal(signal.SIGTERM, before)


def _remove_ended() -> None:
    """Containers that a killed benchmark left, once their lifetime has passed; one that still runs may be another's."""
    filters = ("--filter", f"label={LABEL}", "--filter", "status=exited", "--filter", "status=dead")
    ended = docker.run("ps", "--all", "--quiet", *filters).split()
    if ended:
        docker.run("rm", "--force", "--volumes", *ended)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(EXIT_TERMINATED)

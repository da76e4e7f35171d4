"""The Docker command line, and nothing about what a lab is. Everything of the lab that touches Docker passes here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

TIMEOUT_S = 120


class DockerError(RuntimeError):
    """Docker is missing, not running, or refused: the message says what, where and the next command."""


def run(*arguments: str, stdin: str | None = None, timeout_s: float = TIMEOUT_S) -> str:
    """Run `docker ARGUMENTS` and return what it printed; raises DockerError."""
    try:
        done = subprocess.run(
            ["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        raise DockerError(
            "the lab needs Docker, and no `docker` command is on PATH. Next: tools/setup (or apt-get install docker.io)"
        ) from None
    except subprocess.TimeoutExpired:
        raise DockerError(f"`docker {arguments[0]}` gave no answer in {timeout_s:.0f} s. Next: docker info") from None
    if done.returncode != 0:
        raise DockerError(_explain(arguments, done.stderr.strip()))
    return done.stdout.strip()


def _explain(arguments: Sequence[str], complaint: str) -> str:
    if "Cannot connect to the Docker daemon" in complaint or "dial unix" in complaint:
        if "permission denied" in complaint:
            return f"this user may not use Docker ({complaint}). Next: run as root, or usermod -aG docker $USER"
        return (
            "the lab needs the Docker daemon, and it does not answer. "
            "Next: tools/setup (or systemctl start docker, or dockerd &)"
        )
    return f"`docker {' '.join(arguments[:2])}` failed: {complaint or 'no message'}"


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """What Docker knows of a `container`, `network` or `image`; None when there is none of that name."""
    try:
        found: list[dict[str, Any]] = json.loads(run(kind, "inspect", name))
    except DockerError as error:
        if "no such" in str(error).lower() or "not found" in str(error).lower():
            return None
        raise
    return found[0] if found else None


def labels(kind: str, found: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an inspected container or network."""
    holder = found["Config"] if kind == "container" else found
    return dict(holder.get("Labels") or {})


def cgroup_version() -> int:
    """1 or 2; raises DockerError when there is no daemon, which makes it the check for one, too."""
    return int(run("info", "--format", "{{.CgroupVersion}}") or 1)


def execute(container: str, script: str, *arguments: str, timeout_s: float = TIMEOUT_S) -> str:
    """Run a shell script inside a container as root, fed by stdin so that it shows in no process list."""
    return run("exec", "-i", container, "sh", "-s", "--", *arguments, stdin=script, timeout_s=timeout_s)

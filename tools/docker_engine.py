"""The Docker engine: found running, or started; stopped again only if this checkout started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tools import paths
from tools.command import as_root, output, run
from tools.failure import StepFailed
from tools.machine import SEARCH_PATH, found
from tools.pins import timeout_s

LOG = paths.STATE / "logs" / "dockerd.log"
ROOT = Path("/var/lib/docker")
# An engine that was killed while it made a network dies of that network's half entry at each later start.
HALF_MADE_NETWORK = "libnetwork.(*controller).reservePools"


def version() -> str | None:
    """The running engine's version, or None when none answers."""
    return output(["docker", "version", "--format", "{{.Server.Version}}"]) or None


def ensure(log: IO[str]) -> str:
    """Have an engine that answers; returns how it came to run. StepFailed names the cause otherwise."""
    if version():
        return "running"
    if found("dockerd") is None:
        raise StepFailed("`dockerd` is not installed", "apt-get install docker.io, then tools/setup")
    if Path("/run/systemd/system").is_dir():
        run(as_root(["systemctl", "start", "docker"]), log, timeout_s=60, next_command="journalctl -u docker -n 50")
        _wait(None)
        return "started by systemd"
    _start()
    return f"started here, log in {LOG.relative_to(paths.CHECKOUT)}"


def _start() -> None:
    try:
        _wait(_begun())
    except StepFailed:
        if not set_half_made_networks_aside():
            raise
        _wait(_begun())


def _begun() -> subprocess.Popen[bytes]:
    LOG.parent.mkdir(parents=True, exist_ok=True)
    # What an earlier start said is no cause of this one's end.
    with LOG.open("w") as log:
        return subprocess.Popen(
            as_root(["dockerd", "--pidfile", str(paths.DOCKERD_PID)]),
            env={**os.environ, "PATH": SEARCH_PATH},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def set_half_made_networks_aside() -> bool:
    """Whether the engine's list of networks was what ended it, and could go: no container of anybody's needs it."""
    networks = ROOT / "network" / "files" / "local-kv.db"
    if HALF_MADE_NETWORK not in LOG.read_text(errors="replace"):
        return False
    listed = subprocess.run(as_root(["ls", "-A", str(ROOT / "containers")]), capture_output=True, check=False)
    if listed.returncode or listed.stdout.strip():
        return False
    return subprocess.run(as_root(["mv", str(networks), f"{networks}.half-made"]), check=False).returncode == 0


def _wait(process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + timeout_s("dockerd_start")
    while not version():
        if process is not None and process.poll() is not None:
            paths.DOCKERD_PID.unlink(missing_ok=True)
            raise StepFailed(f"dockerd ended with {process.returncode}: {_cause()}", f"less {LOG}")
        if time.monotonic() > deadline:
            reason = output(["docker", "version"]) or "is your user in the group docker?"
            raise StepFailed(f"the Docker engine does not answer: {reason}", f"docker info; less {LOG}")
        time.sleep(0.2)


def _cause() -> str:
    """The panic that ended the engine, else its last word."""
    said = LOG.read_text(errors="replace").strip().splitlines()
    return next((line for line in said if line.startswith("panic: ")), said[-1] if said else "no output")


def stop_ours() -> str:
    """Stop the engine if this checkout started it and nothing runs on it; returns what was done."""
    try:
        pid = int(paths.DOCKERD_PID.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        paths.DOCKERD_PID.unlink(missing_ok=True)
        return "not ours: left alone"
    if name != "dockerd":
        paths.DOCKERD_PID.unlink(missing_ok=True)
        return "not ours: left alone"
    if running := output(["docker", "ps", "--format", "{{.Names}}"]):
        return f"left running for {', '.join(running.splitlines())}"
    subprocess.run(as_root(["kill", f"-{signal.SIGTERM.value}", str(pid)]), check=False)
    deadline = time.monotonic() + timeout_s("dockerd_start")
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    if _runs(pid):
        return f"asked to stop, still there as process {pid}"
    paths.DOCKERD_PID.unlink(missing_ok=True)
    return "stopped"


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie: a machine without an init may never reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


if __name__ == "__main__":
    print(f"docker engine: {stop_ours()}", file=sys.stderr)

"""A slot's release a second time, on a port of its own, so that the slot's unit can stop without a pause."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from till_host import files
from till_host.faults import Fault
from till_host.slots import haproxy, probe, release, units
from till_host.slots import state as slots

# Where systemd puts CacheDirectory.
CACHES = Path("/var/cache")
TCP = Path("/proc/net/tcp")
ESTABLISHED = "01"
# What a thread of HAProxy that was led elsewhere just now may still be about to ask.
QUIET_S, STEP_S = 0.5, 0.1
# Requests, as many as a preview asks first.
WARM_UP, WARM_UP_TIMEOUT_S = 24, 10


def name(slot: str) -> str:
    """The instance of the unit that the relay of a slot is."""
    return f"{slot}-relay"


def runs(slot: str) -> bool:
    return units.runs(units.unit(name(slot)))


def start(slot: str, state: dict[str, Any]) -> None:
    """Start the slot's release a second time; raises Fault, and then nothing was led anywhere."""
    if not runs(slot):
        relay = name(slot)
        environment = Path(units.ENVIRONMENT.format(slot=slot)).read_text()
        files.replace(Path(units.ENVIRONMENT.format(slot=relay)), on_port(environment, free_port()), mode=0o600)
        files.point(release.ROOT / "slots" / relay, (release.ROOT / "slots" / slot).readlink())
        files.replace(release.ROOT / "start" / relay, (release.ROOT / "start" / slot).read_text(), mode=0o755)
    try:
        begin(name(slot), port(slot), slot, state)
    except Fault:
        stop(slot)
        raise


def port(slot: str) -> int:
    return int(units.environment(name(slot))["PORT"])


def stop(slot: str) -> None:
    """Stop it, and remove what it was started with."""
    relay = name(slot)
    units.systemctl("stop", units.unit(relay))
    units.systemctl("reset-failed", units.unit(relay))
    for path in (
        Path(units.ENVIRONMENT.format(slot=relay)),
        release.ROOT / "slots" / relay,
        release.ROOT / "start" / relay,
    ):
        path.unlink(missing_ok=True)
    shutil.rmtree(CACHES / f"app-{relay}", ignore_errors=True)


def begin(instance: str, port: int, slot: str, state: dict[str, Any]) -> None:
    """Have the slot's release run in a unit, ready for customers; raises Fault with its last lines."""
    since, unit = time.time(), units.unit(instance)
    units.systemctl("reset-failed", unit)
    units.systemctl("start", "--no-block", unit)
    health_path, *pages = paths(slot, state)
    deadline_s = slots.settings()["start_deadline_s"]
    if reason := units.healthy(instance, f"http://127.0.0.1:{port}{health_path}", deadline_s):
        said = units.journal(unit, instance, since)
        raise Fault(f"{state[slot]} in {unit} on {socket.gethostname()} {reason}; last lines of it:\n{said}")
    # What has just begun is slow at first; whatever it answers, it is the release that serves.
    probe.ask({slot: port}, [health_path, *pages], WARM_UP, 1, WARM_UP_TIMEOUT_S, WARM_UP_TIMEOUT_S)


def paths(slot: str, state: dict[str, Any]) -> list[str]:
    """What tells that the slot's release is ready, as when it was deployed, and pages of it."""
    manifest = release.ROOT / "manifests" / f"{state[slot]}.json"
    if not manifest.exists():
        return [state["checks"].get(slot, slots.settings()["check_path"])]
    told = json.loads(manifest.read_text())
    return [told["health_path"], *told.get("probe_paths", [])]


def lead(backend: str, slot: str, port: int) -> None:
    """Have the running HAProxy ask and check a slot on this port; raises Fault."""
    for proxy in (f"check_{slot}", "assets", backend):
        answer = haproxy.runtime(f"set server {proxy}/{slot} addr 127.0.0.1 port {port}")
        # It tells what it did, also where that is nothing.
        if "port changed" not in answer and "no need to change the port" not in answer:
            raise Fault(f"HAProxy does not lead {proxy}/{slot} to port {port} ({answer}): systemctl reload haproxy")


def wait_until_quiet(port: int) -> None:
    """Wait until nobody on this host has asked this port for a moment, as long as a switch would."""
    quiet_since = time.monotonic()
    deadline = quiet_since + slots.settings()["drain_s"]
    while time.monotonic() < min(deadline, quiet_since + QUIET_S):
        if asking(TCP.read_text(), port):
            quiet_since = time.monotonic()
        time.sleep(STEP_S)


def asking(table: str, port: int) -> int:
    """Connections to a port that the kernel's table (proc(5): net/tcp) shows. Pure."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


def on_port(environment: str, port: int) -> str:
    """A slot's environment with another port. Pure."""
    return re.sub(r"(?m)^PORT=.*$", f'PORT="{port}"', environment)


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])

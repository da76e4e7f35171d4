"""What the slots of this host hold, and the edge's backend that follows from it.

/var/lib/till/slots.json: {"active": slot|null, "blue": version|null, "green": version|null,
"digests": {slot: digest of artefact and configuration},
"checks": {slot: path that tells whether it can serve}, "latest": slot of the last deploy|null,
"intent": slot that a switch under way leads to|null}
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/till/storefront.json")
STATE = Path("/var/lib/till/slots.json")
LOCK = Path("/run/till-slots.lock")
EDGE = Path("/etc/haproxy")
BACKEND = EDGE / "slots.cfg"
SOCKET = Path("/run/haproxy/admin.sock")
SLOTS = ("blue", "green")
WEIGHT = 100


class Fault(Exception):
    """Something that a person has to see; the text says what, where and the next command."""


def settings() -> dict[str, Any]:
    return dict(json.loads(SETTINGS.read_text()))


def load() -> dict[str, Any]:
    nothing = dict.fromkeys(("active", *SLOTS, "latest", "intent"))
    empty: dict[str, Any] = {**nothing, "digests": {}, "checks": {}}
    return {**empty, **json.loads(STATE.read_text())} if STATE.exists() else empty


def write(path: Path, text: str) -> None:
    """Replace a file so that a crash leaves the old or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o644)
    fresh.replace(path)


def save(state: dict[str, Any]) -> None:
    write(STATE, json.dumps(state, indent=2) + "\n")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One program at a time changes slots."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def other(slot: str) -> str:
    return SLOTS[1] if slot == SLOTS[0] else SLOTS[0]


def idle(state: dict[str, Any]) -> str:
    """The slot that takes the next release."""
    return other(state["active"]) if state["active"] else SLOTS[0]


def backend(state: dict[str, Any], policy: dict[str, Any]) -> str:
    """HAProxy's backends. A slot without a release is in maintenance, an idle one is checked but gets nothing."""
    # A connection to each request: a server that stops never closes one under a request.
    lines = [
        "# Written from /var/lib/till/slots.json: edit neither.",
        "backend storefront",
        "    option http-server-close",
    ]
    for slot in SLOTS:
        weight = WEIGHT if slot == state["active"] else 0
        lines.append(f"    server {slot} 127.0.0.1:{policy['ports'][slot]} weight {weight} track check_{slot}/{slot}")
    for slot in SLOTS:
        # Checks are a release's own, so each slot has a backend of its own for them.
        lines += [
            f"backend check_{slot}",
            "    option httpchk",
            f"    http-check send meth GET uri {state['checks'].get(slot, policy['check_path'])}",
            "    http-check expect status 200",
            f"    server {slot} 127.0.0.1:{policy['ports'][slot]} check inter {policy['check_interval_ms']}ms"
            f" fall {policy['check_fall']} rise 1{'' if state[slot] else ' disabled'}",
        ]
    return "\n".join(lines) + "\n"


def render(state: dict[str, Any]) -> bool:
    """Keep the backend for reloads and restarts; true when it was another before."""
    text = backend(state, settings())
    if not EDGE.is_dir() or (BACKEND.exists() and BACKEND.read_text() == text):
        return False
    write(BACKEND, text)
    return True


def runtime(command: str) -> str:
    """Answer of the running HAProxy; raises Fault."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(SOCKET))
            link.sendall(f"{command}\n".encode())
            answer = b"".join(iter(lambda: link.recv(65536), b"")).decode().strip()
    except OSError as reason:
        raise Fault(f"HAProxy does not answer at {SOCKET} ({reason}): systemctl status haproxy") from None
    return answer


def tell(*commands: str) -> None:
    """Run commands that answer nothing when they succeed; all in one breath."""
    answer = runtime("; ".join(commands))
    if answer:
        raise Fault(f"HAProxy refused {commands}: {answer}")


def edge_runs() -> bool:
    command = ["/usr/bin/systemctl", "is-active", "-q", "haproxy.service"]
    return BACKEND.exists() and subprocess.run(command, check=False).returncode == 0


def server(slot: str) -> dict[str, str]:
    """HAProxy's statistics of a slot's server."""
    head, *rows = runtime("show stat storefront 4 -1").removeprefix("# ").splitlines()
    for row in rows:
        values = dict(zip(head.split(","), row.split(","), strict=False))
        if values.get("svname") == slot:
            return values
    raise Fault(f"HAProxy has no server storefront/{slot}: till provision")

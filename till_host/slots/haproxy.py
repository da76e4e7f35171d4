"""The running HAProxy of this host, by its socket."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from till_host.faults import Fault

SOCKET = Path("/run/haproxy/admin.sock")


def runtime(command: str) -> str:
    """Its answer; raises Fault."""
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
    answer = runtime("; ".join(commands)) if commands else ""
    if answer:
        raise Fault(f"HAProxy refused {commands}: {answer}")


def runs() -> bool:
    command = ["/usr/bin/systemctl", "is-active", "-q", "haproxy.service"]
    return subprocess.run(command, check=False).returncode == 0


def servers(proxy: str = "app") -> dict[str, dict[str, str]]:
    """Its statistics of the slots' servers."""
    head, *rows = runtime(f"show stat {proxy} 4 -1").removeprefix("# ").splitlines()
    every = [dict(zip(head.split(","), row.split(","), strict=False)) for row in rows]
    return {one["svname"]: one for one in every if "svname" in one}


def open_to(slot: str) -> int:
    """Requests that a slot has not answered yet."""
    return sum(int(servers(proxy).get(slot, {}).get("scur") or 0) for proxy in ("app", "assets"))


def server(slot: str) -> dict[str, str]:
    """Its statistics of one slot's server."""
    found = servers()
    if slot not in found:
        raise Fault(f"HAProxy has no server app/{slot}: till provision")
    return found[slot]


def entries(path: Path) -> dict[str, str] | None:
    """A map as the running one has it; None when it has none."""
    lines = runtime(f"show map {path}").splitlines()
    if lines and lines[0].startswith("Unknown map"):
        return None
    return {words[1]: words[2] for line in lines if len(words := line.split()) == 3}

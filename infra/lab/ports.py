"""TCP ports of this machine: which are free, and who holds the others."""

from __future__ import annotations

import re
import socket
import subprocess

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether 127.0.0.1:`port` can be bound now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """`name (pid N)` of the process that listens on `port`, or `another process` where this user can't see it."""
    try:
        listing = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        listing = ""
    found = re.search(r'\(\("([^"]+)",pid=(\d+)', listing)
    return f"{found[1]} (pid {found[2]})" if found else "another process"


def in_use(port: int) -> str:
    """The sentence for a port that is taken: what holds it and the next command."""
    return (
        f"port {LOOPBACK}:{port} is in use by {holder(port)}. "
        "Next: stop it, or pulumi config set till:labHttpsPort auto -s lab"
    )

"""The road to the other hosts: by SSH with a key that may ask for faults and a planned switchover, and nothing else."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import Any

from till_host import ssh
from till_host.faults import Fault

SETTINGS = "/etc/till/drill-failover.ssh"
STATUS_TIMEOUT_S = 15
# What a host may take from the request until it says that it begins, and afterwards.
BEGIN_TIMEOUT_S = 15
AFTER_BEGIN_S = 3
FAILED = 1


def ask(host: str, *words: str, timeout_s: float) -> dict[str, Any]:
    """One request to a host; Fault with its own words."""
    return ssh.ask(SETTINGS, host, *words, timeout_s=timeout_s)


def status(host: str) -> dict[str, Any]:
    return ask(host, "fault", "status", timeout_s=STATUS_TIMEOUT_S)


def heal(host: str) -> dict[str, Any]:
    return ask(host, "fault", "heal", timeout_s=STATUS_TIMEOUT_S + 20)


def begin(host: str, kind: str, for_s: int) -> float:
    """Begin a fault; when the host said that it does (s since the epoch). Raises Fault.

    A host that is cut off or dead can't say how it went on, so that is not waited for long.
    """
    asked = subprocess.Popen(
        ["ssh", "-F", SETTINGS, host, f"fault begin {kind} --for {for_s}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    over = threading.Timer(BEGIN_TIMEOUT_S, asked.kill)
    over.start()
    assert asked.stdout
    line, at = asked.stdout.readline(), time.time()
    over.cancel()
    try:
        _, said = asked.communicate(timeout=AFTER_BEGIN_S)
    except subprocess.TimeoutExpired:
        asked.kill()
        asked.wait()
        said = ""
    # Of a host that is gone ssh says so in a code of its own.
    if not line or asked.returncode == FAILED:
        raise Fault(f"{host}: {kind} was not begun: {said.strip()[-400:] or 'no answer'}")
    return at

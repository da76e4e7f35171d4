"""The road to the other hosts: by SSH with a key that may ask for faults and a planned switchover, and nothing else."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Answer = TypeVar("Answer")
SETTINGS = "/etc/till/drill-failover.ssh"
STATUS_TIMEOUT_S = 15
# What a host may take from the request until it says that it begins, and afterwards.
BEGIN_TIMEOUT_S = 15
AFTER_BEGIN_S = 3
FAILED = 1


class Fault(Exception):
    """What does not hold, as a sentence."""


def ask(host: str, *words: str, timeout_s: float) -> dict[str, Any]:
    """One request to a host; Fault with its own words."""
    try:
        done = subprocess.run(
            ["ssh", "-F", SETTINGS, host, " ".join(words)],
            capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Fault(f"{host}: no answer to {words[0]} within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise Fault(f"{host}: {done.stderr.strip()[-400:] or f'{words[0]} ended with {done.returncode}'}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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


def at_once(hosts: list[str], call: Callable[[str], Answer]) -> dict[str, Answer | Fault]:
    """One call to many hosts at the same time; an answer or the Fault of each."""

    def one(host: str) -> Answer | Fault:
        try:
            return call(host)
        except Fault as reason:
            return reason

    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        return dict(zip(hosts, pool.map(one, hosts), strict=True))

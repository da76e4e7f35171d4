"""The road to the edges: by SSH with a key that may show, switch and drain slots there, and nothing else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Answer = TypeVar("Answer")
SETTINGS = "/etc/till/release-watch.ssh"
TIMEOUT_S, DRAIN_TIMEOUT_S = 30, 60


class Fault(Exception):
    """What does not hold, as a sentence."""


class Waits(Exception):
    """Nothing was moved; the text says what has to be over first."""


def ask(host: str, *words: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """One request to a host; Fault with its own words."""
    command = ["ssh", "-F", SETTINGS, host, " ".join(("slots", *words))]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Fault(f"{host}: no answer to slots {words[0]} within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        said = done.stderr.strip()[-400:] or f"slots {words[0]} ended with {done.returncode}"
        raise Fault(f"{host}: {said}")
    try:
        return dict(json.loads(done.stdout))
    except (ValueError, TypeError):
        raise Fault(f"{host}: slots {words[0]} answered no JSON") from None


def show(host: str) -> dict[str, Any]:
    return ask(host, "show")


def switch(host: str, slot: str, token: int) -> dict[str, Any]:
    """All traffic to the slot, that of checkouts on the other one, too."""
    return ask(host, "switch", slot, "--drop", "--fence", str(token))


def drain(host: str) -> dict[str, Any]:
    return ask(host, "drain", timeout_s=DRAIN_TIMEOUT_S)


def at_once(hosts: Iterable[str], call: Callable[[str], Answer]) -> dict[str, Answer | Fault]:
    """One call to many hosts at the same time; an answer or the Fault of each."""

    def one(host: str) -> Answer | Fault:
        try:
            return call(host)
        except Fault as reason:
            return reason

    asked = list(hosts)
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        return dict(zip(asked, pool.map(one, asked), strict=True))


def faults(answers: dict[str, Any]) -> str:
    """What went wrong, in a sentence; empty when nothing did."""
    return "; ".join(str(one) for one in answers.values() if isinstance(one, Fault))

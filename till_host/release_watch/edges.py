"""The road to the edges: by SSH with a key that may show, switch and drain slots there, and nothing else."""

from __future__ import annotations

from typing import Any

from till_host import ssh

SETTINGS = "/etc/till/release-watch.ssh"
TIMEOUT_S, DRAIN_TIMEOUT_S = 30, 60


def ask(host: str, *words: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """One request to the slots of a host; Fault with its own words."""
    return ssh.ask(SETTINGS, host, "slots", *words, timeout_s=timeout_s)


def show(host: str) -> dict[str, Any]:
    return ask(host, "show")


def switch(host: str, slot: str, token: int) -> dict[str, Any]:
    """All traffic to the slot, that of checkouts on the other one, too."""
    return ask(host, "switch", slot, "--drop", "--fence", str(token))


def drain(host: str) -> dict[str, Any]:
    return ask(host, "drain", timeout_s=DRAIN_TIMEOUT_S)

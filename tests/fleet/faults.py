"""Hosts of the lab broken for the time of a block, and healed however it ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fleet.conftest import container, inside
from tests.fleet.database import until

# A host's systemd has its bus within a second; a busy machine may need longer.
STARTED_WITHIN_S = 60
FROZEN_WITHIN_S = 30


@contextmanager
def fault(host: str, begin: str, heal: str) -> Iterator[None]:
    """Something broken on a host by one command, mended by another."""
    inside(host, begin)
    try:
        yield
    finally:
        inside(host, heal)


@contextmanager
def paused(host: str) -> Iterator[float]:
    """A host that answers nothing and notices nothing; since when (s since the epoch)."""
    box = container(host)
    # The kernel freezes a whole host within a given time, or not at all: on a busy machine it is asked again.
    began = until(f"{host} does not freeze", lambda: frozen(box), FROZEN_WITHIN_S)
    try:
        yield began
    finally:
        subprocess.run(["docker", "unpause", box], check=True, capture_output=True)


def frozen(box: str) -> float:
    """Since when; 0 where it is not."""
    began = time.time()
    asked = subprocess.run(["docker", "pause", box], capture_output=True, text=True, check=False)
    if asked.returncode:
        print(asked.stderr.strip())
        return 0
    return began


@contextmanager
def destroyed(*hosts: str) -> Iterator[float]:
    """Hosts killed at once, as by a power cut, and started again; since when (s since the epoch)."""
    boxes = [container(host) for host in hosts]
    subprocess.run(["docker", "kill", *boxes], check=True, capture_output=True)
    try:
        yield time.time()
    finally:
        subprocess.run(["docker", "start", *boxes], check=True, capture_output=True)
        for host in hosts:
            hears(host)


def hears(host: str) -> None:
    """Wait until a host that starts takes commands: its systemd has no bus in the first moments."""
    until(f"{host} takes no command", lambda: heard(host), STARTED_WITHIN_S)


def heard(host: str) -> bool:
    try:
        inside(host, "systemctl list-jobs")
    except subprocess.CalledProcessError:
        return False
    return True


@contextmanager
def cut(host: str, *addresses: str, ports: str = "") -> Iterator[float]:
    """Nothing passes between a host and these addresses, in neither direction (only these ports, "1,2", if given)."""
    rules = ["add table inet till_cut", "delete table inet till_cut", "add table inet till_cut"]
    place = "{ " + ", ".join(addresses) + " }"
    for chain, side in (("input", "saddr"), ("output", "daddr")):
        rules.append(f"add chain inet till_cut {chain} {{ type filter hook {chain} priority -10; }}")
        for end in (f"tcp dport {{ {ports} }}", f"tcp sport {{ {ports} }}") if ports else ("",):
            rules.append(f"add rule inet till_cut {chain} ip {side} {place} {end} drop")
    # It ends by itself, too.
    heal = "nft delete table inet till_cut"
    inside(host, f"systemd-run --quiet --collect --unit=till-cut-ends --on-active=400 {heal}")
    began = time.time()
    inside(host, "nft '" + "; ".join(rules) + "'")
    try:
        yield began
    finally:
        inside(host, f"{heal}; systemctl stop till-cut-ends.timer")


@contextmanager
def slowed(host: str, cores: float) -> Iterator[float]:
    """A host that gets this part of a core: what runs there answers late, or not in time."""
    box = container(host)
    subprocess.run(["docker", "update", "--cpu-quota", str(int(cores * 100_000)), box], check=True, capture_output=True)
    try:
        yield time.time()
    finally:
        subprocess.run(["docker", "update", "--cpu-quota", "-1", box], check=True, capture_output=True)

"""Hosts of the lab broken for the time of a block, and healed however it ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fleet.conftest import container, inside


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
    box, began = container(host), time.time()
    subprocess.run(["docker", "pause", box], check=True, capture_output=True)
    try:
        yield began
    finally:
        subprocess.run(["docker", "unpause", box], check=True, capture_output=True)


@contextmanager
def destroyed(*hosts: str) -> Iterator[float]:
    """Hosts killed at once, as by a power cut, and started again; since when (s since the epoch)."""
    boxes = [container(host) for host in hosts]
    subprocess.run(["docker", "kill", *boxes], check=True, capture_output=True)
    try:
        yield time.time()
    finally:
        subprocess.run(["docker", "start", *boxes], check=True, capture_output=True)

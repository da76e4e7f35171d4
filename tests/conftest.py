"""The lab of a run of tests: used when it is up and well, else brought up, and taken down by whoever brought it up."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.contract import Contract
from tests import store as consensus
from till.paths import CHECKOUT, VENV_BIN
from till.stacks import stack

STACK = "lab"
UP_TIMEOUT_S = 2400


def till(*arguments: str, timeout_s: float = 600) -> tuple[int, dict[str, Any], str]:
    """Run a verb with --json: exit code, the object on stdout, what stood on stderr."""
    done = subprocess.run(
        [str(VENV_BIN / "till"), *arguments, "--json"], cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, (done.stdout, done.stderr[-3000:])
    return done.returncode, json.loads(lines[0]), done.stderr


# Before a command that is to hear Ctrl-C as at a terminal: what runs in the background is born deaf to it.
HEARS_CTRL_C = ("env", "--default-signal=INT")


def till_begun(*arguments: str) -> subprocess.Popen[str]:
    """A verb with --json that goes on by itself: its object comes on stdout, what it says on stderr."""
    return subprocess.Popen(
        [*HEARS_CTRL_C, str(VENV_BIN / "till"), *arguments, "--json"],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def done(*arguments: str) -> dict[str, Any]:
    """What a verb said that did all it was to do."""
    began = time.monotonic()
    code, told, messages = till(*arguments, timeout_s=UP_TIMEOUT_S)
    assert code == 0, (told, messages[-4000:])
    print(f"till {' '.join(arguments)}: {time.monotonic() - began:.0f} s, phases {told.get('phases')}")
    return told


@pytest.fixture(scope="session")
def lab() -> Iterator[Contract]:
    """The contract of a lab that stands and sells."""
    ours = not stack.exists(STACK)
    try:
        if ours or not till("status", STACK)[1].get("ok"):
            done("up", STACK)
        yield stack.contract(STACK)
    finally:
        # Also a lab that came up in part is this run's to remove.
        if ours and not os.environ.get("TILL_KEEP_LAB"):
            done("down", STACK)


@pytest.fixture(scope="module")
def running_store() -> Iterator[consensus.Store]:
    """etcd's three members, for the tests of a file."""
    with consensus.running() as store:
        yield store


@pytest.fixture
def store(running_store: consensus.Store) -> consensus.Store:
    """A store in which nobody holds the stack's lock."""
    running_store.wait(while_held=True)
    return running_store

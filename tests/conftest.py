"""The lab of a test process: used when it is up and well, else brought up, and taken down by whoever brought it up."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from infra.contract import Contract
from tests import store as consensus
from tests.quiet import beside_others
from till import flow, release, stack
from till.paths import CHECKOUT, STATE, VENV_BIN

LAB = "lab"
# The second process has a lab of its own, with the lab's settings.
SECOND = "lab-second"
# A process that xdist starts in the place of one that died has a later number.
STACK = LAB if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0" else SECOND
UP_TIMEOUT_S = 2400

# Tests that break and mend a lab run one after the other, in two halves of about the same time, each in a process.
# A third process does the rest meanwhile. No three fleets stand at once: the second lab comes after staging.
LAB_FOLDERS = ("tests/browser/", "tests/fleet/")
# On a fleet that no other test has broken and mended.
FIRST_OF_ALL = "tests/fleet/test_converged.py"
# In this order: rollouts, which take the most of a processor, while the first half waits for what it broke.
OF_SECOND = "staging drill_failover drill_faults rollout_faults watch lease failback failover fast_release faults"
SECOND_HALF = tuple(f"tests/fleet/test_{name}.py" for name in OF_SECOND.split())
HALVES = ("first half", "second half")
ORDER = (FIRST_OF_ALL, *SECOND_HALF)


def scope(nodeid: str) -> str:
    """What runs in one process: a half of the tests of a lab, or another file."""
    file = nodeid.partition("::")[0]
    if not file.startswith(LAB_FOLDERS):
        return file
    return "second half" if file in SECOND_HALF else "first half"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The halves begin first; what has no place in the order comes after it, as it was collected.

    A quiet test ends its half: where that is the longer one, nobody has to wait for it.
    """

    def place(item: pytest.Item) -> tuple[int, bool, int]:
        file, found = item.nodeid.partition("::")[0], scope(item.nodeid)
        return (
            HALVES.index(found) if found in HALVES else len(HALVES),
            item.get_closest_marker("quiet") is not None,
            ORDER.index(file) if file in ORDER else len(ORDER),
        )

    items.sort(key=place)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Scopes in the order of the collection, to whichever process has done its own."""
    config.option.loadscopereorder = False
    return ByScope(config, log)


class ByScope(LoadScopeScheduling):
    def schedule(self) -> None:
        # By their numbers, whichever was ready first: the first has the lab, the second a lab of its own.
        self.assigned_work = dict(sorted(self.assigned_work.items(), key=lambda entry: str(entry[0].gateway.id)))
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Before its fixtures, so that bringing a lab up disturbs no quiet test either."""
    if not item.nodeid.startswith(LAB_FOLDERS):
        return (yield)
    with beside_others(STATE / "tests", quiet=item.get_closest_marker("quiet") is not None):
        return (yield)


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


def step_by_step() -> None:
    """The second lab as a person brings it up who takes each step alone; `till verify` is asked of the other one."""
    stack.up(SECOND, print)
    done("provision", SECOND)
    if not release.is_built(SECOND, flow.FIRST_RELEASE):
        done("release", "build", SECOND, "--version", flow.FIRST_RELEASE)
    done("deploy", SECOND, flow.FIRST_RELEASE)
    done("smoke", SECOND)


@pytest.fixture(scope="session")
def lab() -> Iterator[Contract]:
    """The contract of a lab that stands and sells."""
    there = stack.exists(STACK)
    # Nobody but tests has a second one: what a run that was cut off left of it is this run's.
    ours = STACK == SECOND or not there
    if STACK == SECOND and not there:
        lines = stack.settings_file(LAB).read_text().splitlines(keepends=True)
        settings = "".join(line for line in lines if not line.startswith("encryptionsalt:"))
        stack.settings_file(SECOND).write_text(settings)
    try:
        if STACK == SECOND:
            step_by_step()
        elif ours or not till("status", STACK)[1].get("ok"):
            done("up", STACK)
        yield stack.contract(STACK)
    finally:
        # Also a lab that came up in part is this run's to remove.
        if ours and not os.environ.get("TILL_KEEP_LAB"):
            done("down", STACK)
            if STACK == SECOND:
                stack.settings_file(SECOND).unlink()


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

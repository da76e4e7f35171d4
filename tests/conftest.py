"""The lab of this checkout: used when it is up and well, else brought up, and taken down by whoever brought it up."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from infra.contract import Contract
from till import stack
from till.paths import CHECKOUT, VENV_BIN

STACK = "lab"
UP_TIMEOUT_S = 1500


# Below these folders tests share this checkout's lab, but for the files that bring fleets of their own.
LAB_FOLDERS = ("tests/browser/", "tests/fleet/")
OWN_FLEETS = ("tests/fleet/test_staging.py",)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Tests that break and mend the one lab run one after the other, in one process; the rest beside them by file."""
    return OneLab(config, log)


class OneLab(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "lab" if file.startswith(LAB_FOLDERS) and file not in OWN_FLEETS else file


def till(*arguments: str, timeout_s: float = 600) -> tuple[int, dict[str, Any], str]:
    """Run a verb with --json: exit code, the object on stdout, what stood on stderr."""
    done = subprocess.run(
        [str(VENV_BIN / "till"), *arguments, "--json"], cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, (done.stdout, done.stderr[-3000:])
    return done.returncode, json.loads(lines[0]), done.stderr


@pytest.fixture(scope="session")
def lab() -> Iterator[Contract]:
    """The contract of a lab that stands and sells."""
    ours = not stack.exists(STACK)
    try:
        if ours or not till("status", STACK)[1].get("ok"):
            began = time.monotonic()
            code, told, messages = till("up", STACK, timeout_s=UP_TIMEOUT_S)
            assert code == 0, (told, messages[-4000:])
            print(f"till up lab: {time.monotonic() - began:.0f} s, phases {told['phases']}")
        yield stack.contract(STACK)
    finally:
        # Also a lab that came up in part is this run's to remove.
        if ours and not os.environ.get("TILL_KEEP_LAB"):
            code, told, messages = till("down", STACK)
            assert code == 0, (told, messages[-4000:])

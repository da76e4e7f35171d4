"""The storefront's own checks, run where the rest of the project's tests run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import paths

HERE = Path(__file__).parents[1]
NODE = paths.node_tree() / "bin"
INSTALL_TIMEOUT_S = 420
pytestmark = pytest.mark.timeout(600)


def run(*command: str, timeout_s: float) -> None:
    environment = {
        **os.environ,
        "PATH": f"{NODE}:{os.environ['PATH']}",
        "NEXT_TELEMETRY_DISABLED": "1",
        "TILL_PYTHON": sys.executable,
    }
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def installed() -> None:
    """The packages of the lock file; installed again only when it changed."""
    mark = HERE / "node_modules" / ".till-lock"
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != digest:
        run("npm", "ci", "--no-audit", "--no-fund", timeout_s=INSTALL_TIMEOUT_S)
        mark.write_text(digest)


@pytest.mark.usefixtures("installed")
def test_types() -> None:
    run("npm", "run", "type-check", timeout_s=120)


@pytest.mark.usefixtures("installed")
def test_money_payments_webhooks_and_what_is_around_them() -> None:
    run("npm", "test", timeout_s=180)

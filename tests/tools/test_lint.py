"""Every linter of `make lint` finds nothing; as tests, so that they run while the lab's tests wait."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.scheduling import CHECKOUT

LINTERS = re.findall(r"^LINTERS := (.+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)[0].split()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("linter", LINTERS)
def test_the_linter_finds_nothing(linter: str) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", linter], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]

"""Run the host suite (testinfra) against a stack and count."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from till.errors import GateSaidNo, TillError
from till.paths import CHECKOUT
from till.policy import thresholds
from till.progress import Progress

SUITE = "tests/hosts"
SUITE_TIMEOUT_S = 600
PAUSE_S = 5
ONLY_FAILED = ("--last-failed", "--last-failed-no-failures=none")
# pytest's exit codes for a suite that can't be read, an internal error, bad usage and no tests at all.
COULD_NOT_START = (2, 3, 4, 5)


@dataclass(frozen=True)
class Found:
    """What one run of the suite found; `failing` has a sentence for each check by its file and name."""

    passed: int
    skipped: int
    failing: dict[tuple[str, str], str] = field(default_factory=dict)


def run(stack: str, progress: Progress) -> dict[str, Any]:
    """Returns passed, failed, skipped, the failing sentences, and settled: checks that failed only at first.

    A fleet that was just changed settles: what fails is asked again until it passes or `verify.settle_s` is over.
    Raises GateSaidNo when a check fails then, TillError when the suite could not run.
    """
    with tempfile.TemporaryDirectory(prefix="till-verify-") as folder:
        first = _suite(stack, Path(folder))
        failing = first.failing
        deadline = time.monotonic() + thresholds()["verify"]["settle_s"]
        while failing and time.monotonic() < deadline:
            progress.say(f"{len(failing)} checks failed, asked again: {', '.join(name for _, name in sorted(failing))}")
            time.sleep(PAUSE_S)
            failing = _suite(stack, Path(folder), *ONLY_FAILED).failing
    settled = [name for _, name in sorted(first.failing.keys() - failing.keys())]
    passed, failed = first.passed + len(settled), len(failing)
    told = {"passed": passed, "failed": failed, "skipped": first.skipped, "settled": settled}
    progress.say(f"{passed} checks passed, {failed} failed, {first.skipped} skipped")
    if failed or not passed:
        sentences = [f"{name}: {sentence}" for (_, name), sentence in failing.items()]
        raise GateSaidNo(
            f"stack {stack}: {failed} of {passed + failed + first.skipped} checks failed\n  " + "\n  ".join(sentences),
            f"TILL_STACK={stack} .venv/bin/pytest {SUITE}",
            {**told, "failing": sentences},
        )
    return {**told, "failing": []}


def _suite(stack: str, folder: Path, *options: str) -> Found:
    """One run; the folder remembers what failed for the next one."""
    report, again = folder / "report.xml", f"TILL_STACK={stack} .venv/bin/pytest {SUITE}"
    report.unlink(missing_ok=True)
    quiet = ["-q", "--no-header", "--tb=short", f"--junitxml={report}", "-o", f"cache_dir={folder / 'cache'}"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *quiet, *options, SUITE],
            cwd=CHECKOUT, env={**os.environ, "TILL_STACK": stack}, capture_output=True, text=True,
            timeout=SUITE_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TillError(f"the host suite took longer than {SUITE_TIMEOUT_S} s", again) from None
    if not report.exists() or done.returncode in COULD_NOT_START:
        told = (done.stdout + done.stderr).strip()[-1500:]
        raise TillError(f"the host suite could not start: {told}", again)
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - our own pytest wrote it
    if suite is None:
        raise TillError("the host suite wrote an empty report", again)
    return _counted(suite)


def _counted(suite: ET.Element) -> Found:
    failing, skipped, cases = {}, 0, list(suite.iter("testcase"))
    for case in cases:
        for fault in [*case.findall("failure"), *case.findall("error")]:
            failing[str(case.get("classname")), str(case.get("name"))] = (
                fault.get("message") or "failed"
            ).splitlines()[0][:300]
        skipped += case.find("skipped") is not None
    return Found(len(cases) - len(failing) - skipped, skipped, failing)

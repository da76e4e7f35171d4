"""Run the host suite (testinfra) against a stack and count."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from till.errors import GateSaidNo, TillError
from till.paths import CHECKOUT
from till.progress import Progress

SUITE = "tests/hosts"
SUITE_TIMEOUT_S = 600
# pytest's exit codes for an internal error, bad usage and no tests at all.
COULD_NOT_START = (3, 4, 5)


def run(stack: str, progress: Progress) -> dict[str, Any]:
    """Returns passed, failed, skipped and the failing sentences; raises GateSaidNo when one check failed."""
    with tempfile.TemporaryDirectory(prefix="till-verify-") as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "--no-header", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={report}"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *options, SUITE],
                cwd=CHECKOUT, env={**os.environ, "TILL_STACK": stack}, capture_output=True, text=True,
                timeout=SUITE_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TillError(
                f"the host suite took longer than {SUITE_TIMEOUT_S} s", f"TILL_STACK={stack} .venv/bin/pytest {SUITE}"
            ) from None
        if not report.exists() or done.returncode in COULD_NOT_START:
            told = (done.stdout + done.stderr).strip()[-1500:]
            raise TillError(f"the host suite could not start: {told}", f"TILL_STACK={stack} .venv/bin/pytest {SUITE}")
        suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - our own pytest wrote it
    if suite is None:
        raise TillError("the host suite wrote an empty report", f"TILL_STACK={stack} .venv/bin/pytest {SUITE}")
    count = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    failing = [
        f"{case.get('name')}: {(fault.get('message') or 'failed').splitlines()[0][:300]}"
        for case in suite.iter("testcase")
        for fault in [*case.findall("failure"), *case.findall("error")]
    ]
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    progress.say(f"{passed} checks passed, {failed} failed, {count['skipped']} skipped")
    if failed or not passed:
        raise GateSaidNo(
            f"stack {stack}: {failed} of {count['tests']} checks failed\n  " + "\n  ".join(failing),
            f"TILL_STACK={stack} .venv/bin/pytest {SUITE}",
            {"passed": passed, "failed": failed, "skipped": count["skipped"], "failing": failing},
        )
    return {"passed": passed, "failed": failed, "skipped": count["skipped"], "failing": []}

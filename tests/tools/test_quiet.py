"""A quiet test has the machine for itself, and does not wait for ever behind others."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.quiet import beside_others

WITHIN_S = 20


class Half(threading.Thread):
    """A test of another half, which goes on until it is told to end."""

    def __init__(self, folder: Path, quiet: bool) -> None:
        super().__init__(daemon=True)
        self.folder, self.quiet = folder, quiet
        self.begun, self.end = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with beside_others(self.folder, self.quiet):
            self.begun.set()
            self.end.wait(WITHIN_S)


def test_tests_that_are_not_quiet_run_beside_each_other(tmp_path: Path) -> None:
    with beside_others(tmp_path, quiet=False):
        other = Half(tmp_path, quiet=False)
        assert other.begun.wait(WITHIN_S)
        other.end.set()


def test_a_quiet_one_runs_alone_and_before_whoever_comes_later(tmp_path: Path) -> None:
    first = Half(tmp_path, quiet=False)
    assert first.begun.wait(WITHIN_S)
    quiet = Half(tmp_path, quiet=True)
    time.sleep(0.2)
    later = Half(tmp_path, quiet=False)
    time.sleep(0.2)
    assert not quiet.begun.is_set() and not later.begun.is_set()
    first.end.set()
    assert quiet.begun.wait(WITHIN_S)
    time.sleep(0.2)
    assert not later.begun.is_set()
    quiet.end.set()
    assert later.begun.wait(WITHIN_S)
    later.end.set()

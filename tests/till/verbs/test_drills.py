"""Drills that hosts held become entries in the journal, each once, however many look."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from till import paths
from till.changes import journal, journal_head
from till.hosts.session import Session
from till.recovery.drills import host_unit, restore
from till.verbs import drills

RESULTS = [{"name": f"restore-{number}", "at": f"179563410{number}"} for number in range(2)]
NOBODY = cast(Session, None)


@pytest.fixture(autouse=True)
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two drills that a host holds results of, in a place of the test's own; making a page of one takes a moment."""

    def judged(_: str, result: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.2)
        return {**result, "ok": True}

    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(host_unit, "results", lambda *_: RESULTS)
    monkeypatch.setattr(journal_head, "push", lambda *_: "")
    monkeypatch.setitem(drills.JUDGED, restore.KIND, judged)


def entries() -> list[str]:
    return [entry["name"] for entry in journal.read(paths.journal_file("lab"))]


def test_two_tills_at_once_write_one_entry_for_each_drill() -> None:
    together = threading.Barrier(2)

    def noted() -> list[dict[str, Any]]:
        together.wait(10)
        return drills._note("lab", NOBODY, restore.KIND)

    with ThreadPoolExecutor(2) as both:
        assert [one.result(30) for one in [both.submit(noted) for _ in range(2)]] == [RESULTS, RESULTS]
    assert entries() == ["restore-0", "restore-1"]
    assert journal.verify(paths.journal_file("lab")) == 2


def test_what_a_killed_till_left_out_is_written_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(_: str, result: dict[str, Any]) -> dict[str, Any]:
        if result["name"] == "restore-1":
            raise KeyboardInterrupt
        return {**result, "ok": True}

    with monkeypatch.context() as broken:
        broken.setitem(drills.JUDGED, restore.KIND, cut)
        with pytest.raises(KeyboardInterrupt):
            drills._note("lab", NOBODY, restore.KIND)
    assert entries() == ["restore-0"]
    drills._note("lab", NOBODY, restore.KIND)
    assert entries() == ["restore-0", "restore-1"]

"""The journal shows every change to it; the lock ends with its holder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from till.changes import journal, local_lock
from till.errors import Refused, TillError

HOLD = """
import pathlib, sys, time
from till.changes import local_lock
with local_lock.hold_local_lock(pathlib.Path(sys.argv[1]), "deploy"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "journal" / "lab.jsonl"
    for number in range(3):
        journal.append(path, "deploy", True, {"number": number})
    return path


def test_entries_are_chained(written: Path) -> None:
    entries = journal.read(written)
    assert journal.verify(written) == 3
    assert entries[0]["previous"] == journal.GENESIS
    assert [entry["previous"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]


@pytest.mark.parametrize(
    ("damage", "number"),
    [
        (lambda lines: [lines[0], lines[1].replace('"number": 1', '"number": 7'), lines[2]], 2),
        (lambda lines: [lines[0], lines[2]], 2),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
    ],
    ids=["changed", "removed", "swapped"],
)
def test_damage_is_found(written: Path, damage: object, number: int) -> None:
    lines = written.read_text().splitlines()
    written.write_text("\n".join(damage(lines)) + "\n")  # type: ignore[operator]
    with pytest.raises(TillError, match=f"entry {number} was changed or removed"):
        journal.verify(written)


@pytest.mark.parametrize("torn", [b'{"verb": "dep', b"7\n", b"[]\n", b"\xff\n", b"{}\n"])
def test_nothing_is_added_behind_a_torn_entry(written: Path, torn: bytes) -> None:
    before = written.read_bytes() + torn
    written.write_bytes(before)
    with pytest.raises(TillError, match="last entry can't be read"):
        journal.append(written, "deploy", True, {})
    assert written.read_bytes() == before
    with pytest.raises(TillError, match=r"entry 4 (can't be read|was changed)"):
        journal.verify(written)


def test_a_journal_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert (journal.read(tmp_path / "none.jsonl"), journal.verify(tmp_path / "none.jsonl")) == ([], 0)


def test_writers_at_the_same_time_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "lab.jsonl"
    write = (
        "import pathlib, sys; from till.changes import journal\n"
        "for n in range(20): journal.append(pathlib.Path(sys.argv[1]), 'deploy', True, {'n': n})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", write, str(path)]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert journal.verify(path) == 60


def holding(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_living_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    process = holding(path)
    try:
        with pytest.raises(Refused) as raised, local_lock.hold_local_lock(path, "provision"):
            pass
        assert raised.value.exit_code == 5
        assert f"deploy by {local_lock.holder(path)['user']}" in raised.value.message
        assert f"process {process.pid}" in raised.value.message
        assert set(local_lock.holder(path)) >= {"user", "host", "pid", "verb", "since", "boot_id"}
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_killed_holder_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    process = holding(path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert local_lock.holder(path)["pid"] == process.pid
    began = time.monotonic()
    with local_lock.hold_local_lock(path, "provision"):
        assert local_lock.holder(path)["verb"] == "provision"
    assert time.monotonic() - began < 1
    assert path.read_text() == ""


def test_children_do_not_inherit_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    with local_lock.hold_local_lock(path, "up"):
        child = subprocess.Popen(["sleep", "30"])
    try:
        with local_lock.hold_local_lock(path, "deploy"):
            assert json.loads(path.read_text())["verb"] == "deploy"
    finally:
        child.kill()
        child.wait()

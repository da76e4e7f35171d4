"""Pulumi as a child process, and what its words mean."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import HEARS_CTRL_C
from till.errors import UsageError
from till.stacks import pulumi_process, stack

ORDERLY = "trap 'echo state saved > {mark}; exit 1' INT; echo started; while :; do sleep 0.1; done"


def orderly(mark: Path) -> list[str]:
    return [*HEARS_CTRL_C, "bash", "-c", ORDERLY.format(mark=mark)]


def test_lines_come_as_they_are_said() -> None:
    said: list[str] = []
    assert pulumi_process.stream(["sh", "-c", "echo one; echo; echo two >&2; exit 3"], said.append, 10) == (
        3,
        ["one\n", "\n", "two\n"],
    )
    assert said == ["one", "two"]


def test_an_interrupted_run_is_ended_in_order(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def interrupted(line: str) -> None:
        if line == "started":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pulumi_process.stream(orderly(mark), interrupted, 30)
    assert mark.read_text() == "state saved\n"


def test_a_run_that_does_not_end_is_killed(tmp_path: Path) -> None:
    def interrupted(line: str) -> None:
        if line == "started":
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pulumi_process.stream(["bash", "-c", "trap '' INT; echo started; sleep 60"], interrupted, 30, grace_s=1)
    assert time.monotonic() - began < 5


def test_a_run_has_a_deadline(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    began = time.monotonic()
    exit_code, _ = pulumi_process.stream(orderly(mark), lambda _line: None, 1)
    assert (exit_code, mark.exists()) == (1, True)
    assert time.monotonic() - began < 5


def lock_of(folder: Path, pid: int, hostname: str = socket.gethostname(), name: str = "lab") -> None:
    place = folder / "organization" / "till" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{pid}.json").write_text(json.dumps({"pid": pid, "hostname": hostname, "username": "x"}))


def gone() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_killed_run_is_released(tmp_path: Path) -> None:
    lock_of(tmp_path, gone())
    assert pulumi_process.release_dead_locks("lab", tmp_path)


def test_locks_of_living_and_foreign_runs_are_left_alone(tmp_path: Path) -> None:
    assert not pulumi_process.release_dead_locks("lab", tmp_path)
    lock_of(tmp_path, gone(), name="staging")
    assert not pulumi_process.release_dead_locks("lab", tmp_path)
    lock_of(tmp_path, gone(), hostname="elsewhere")
    assert not pulumi_process.release_dead_locks("lab", tmp_path)
    lock_of(tmp_path / "second", gone())
    lock_of(tmp_path / "second", os.getpid())
    assert not pulumi_process.release_dead_locks("lab", tmp_path / "second")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("error: could not create stack: incorrect passphrase", "passphrase does not open"),
        ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or", "no passphrase"),
        ("error: no stack named 'lab' found", "does not exist yet"),
        ("error: current stack does not have output property 'contract'", "has no contract"),
        ("error: the stack is currently locked by 1 lock(s)", "held by another Pulumi run"),
        ("error: something else", "something else"),
        ("", "pulumi said nothing"),
    ],
)
def test_words_of_pulumi(words: str, told: str) -> None:
    error = stack.why(words, "lab")
    assert isinstance(error, UsageError)
    assert told in error.message and error.next_command


def test_a_stack_of_another_project_is_refused() -> None:
    with pytest.raises(UsageError, match=r"there is no Pulumi.nope.yaml") as raised:
        stack.contract("nope")
    begins, _, stacks = raised.value.next_command.partition("choose one of ")
    # Tests beside this one may have stacks of their own.
    assert (begins, {"lab", "production", "staging"} - set(stacks.split(", "))) == ("", set())

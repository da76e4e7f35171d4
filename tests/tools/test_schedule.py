"""Set-up steps: side by side, in order where they need each other, and clear when one fails."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from tools.cached import new_entry
from tools.failure import StepFailed
from tools.schedule import Step, run_steps


def test_a_step_waits_for_those_it_needs(tmp_path: Path) -> None:
    done: list[str] = []

    def work(name: str) -> str:
        done.append(name)
        return "ok"

    steps = [Step("last", "", lambda _: work("last"), after=("first",)), Step("first", "", lambda _: work("first"))]
    assert run_steps(steps, tmp_path)
    assert done == ["first", "last"]


def test_a_failure_shows_cause_log_and_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(log: IO[str]) -> str:
        log.write("what the program said\n")
        raise StepFailed("`x` exited with 1", "try y")

    never: list[str] = []
    steps = [Step("broken", "", fail), Step("after", "", lambda _: never.append("ran") or "", after=("broken",))]
    assert not run_steps(steps, tmp_path)
    said = capsys.readouterr().err
    for part in ("`x` exited with 1", "what the program said", "next: try y", str(tmp_path / "broken.log")):
        assert part in said
    assert never == []


def test_a_bug_in_a_step_is_reported_like_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def bug(_: IO[str]) -> str:
        raise OSError(28, "No space left on device")

    assert not run_steps([Step("broken", "", bug)], tmp_path)
    assert "No space left on device" in capsys.readouterr().err


def test_an_interrupted_entry_leaves_nothing(tmp_path: Path) -> None:
    entry = tmp_path / "tool"
    with pytest.raises(KeyboardInterrupt), new_entry(entry) as made:
        made.mkdir()
        (made / "half").write_text("")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_entry_is_replaced_whole(tmp_path: Path) -> None:
    entry = tmp_path / "tool"
    for text in ("old", "new"):
        with new_entry(entry) as made:
            made.mkdir()
            (made / text).write_text(text)
    assert [path.name for path in entry.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [entry]

"""The history of a stack: its rows, a chain that was tampered with, and heads that find what a chain can't tell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.till.conftest import contract_of, host
from till import paths
from till.changes import history, journal, journal_head
from till.changes.change import change
from till.cli.main import app
from till.errors import GateSaidNo, HostUnreachable
from till.progress import Progress
from till.stacks import stack
from till.verbs import approvals


class Host:
    """The backup host as a shell on this machine, with its files below a folder; may be away."""

    def __init__(self, folder: Path) -> None:
        self.contract = contract_of(host("ops", roles=["backup_repository"]))
        self.folder, self.away, self.asked = folder, False, list[str]()

    @property
    def heads(self) -> Path:
        return self.folder / "var/lib/till/journal-heads.jsonl"

    def ssh(self, name: str, command: str, timeout_s: int = 30) -> subprocess.CompletedProcess[str]:
        self.asked.append(name)
        if self.away:
            return subprocess.CompletedProcess([], 255, "", "no route to host")
        here = command.replace("/var/lib/till", f"{self.folder}/var/lib/till")
        return subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=False, timeout=timeout_s)


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    found = Host(tmp_path / "ops")

    @contextmanager
    def opened(_contract: object) -> Iterator[Host]:
        yield found

    monkeypatch.setattr(stack, "contract", lambda _name: found.contract)
    monkeypatch.setattr(approvals, "open_session", opened)
    return found


def changed(ops: Host, times: int) -> Path:
    for number in range(times):
        with change("lab", "provision", Progress(quiet=True), session=ops) as facts:  # type: ignore[arg-type]
            facts["changed"] = number
    return paths.journal_file("lab")


def compared(ops: Host) -> journal_head.Comparison:
    return journal_head.compare(journal.read(paths.journal_file("lab")), journal_head.read(ops)[0])  # type: ignore[arg-type]


def rewritten(path: Path, entries: list[dict[str, Any]]) -> None:
    """What somebody with the journal and this program can do: a chain that holds, of other entries."""
    path.unlink()
    for entry in entries:
        journal.append(path, entry["verb"], entry["ok"], {"changed": entry["changed"]})


def test_each_change_keeps_its_head_on_the_backup_host(ops: Host) -> None:
    path = changed(ops, 3)
    kept = journal_head.parsed(ops.heads.read_text(), "lab")
    assert [(one["count"], one["hash"]) for one in kept] == [
        (number, entry["hash"]) for number, entry in enumerate(journal.read(path), start=1)
    ]
    assert set(ops.asked) == {"ops"} and ops.heads.stat().st_mode & 0o077 == 0
    assert compared(ops).state == "same"


def test_a_failed_change_keeps_its_head_too(ops: Host) -> None:
    with pytest.raises(GateSaidNo), change("lab", "deploy", Progress(quiet=True), session=ops):  # type: ignore[arg-type]
        raise GateSaidNo("no")
    assert compared(ops).state == "same"


def test_a_host_that_is_away_is_a_warning_and_the_change_stands(ops: Host, capsys: pytest.CaptureFixture[str]) -> None:
    ops.away = True
    with change("lab", "deploy", Progress(), session=ops):  # type: ignore[arg-type]
        pass
    assert "warning: the journal's head is not kept on the stack: host ops can't be reached" in capsys.readouterr().err
    assert journal.read(paths.journal_file("lab"))[0]["ok"]


def test_entries_that_came_after_the_last_head_are_no_fault(ops: Host) -> None:
    path = changed(ops, 2)
    journal.append(path, "release build", True, {})
    found = compared(ops)
    assert (found.state, found.holds) == ("ahead", True) and "1 came after it" in found.sentence


def test_a_journal_that_was_cut_short_is_found_though_its_chain_holds(ops: Host) -> None:
    path = changed(ops, 4)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert journal.verify(path) == 2
    found = compared(ops)
    assert (found.state, found.entry, found.holds) == ("shortened", 3, False)
    assert "entry 3 and those after it are gone" in found.sentence


def test_one_that_is_gone_is_found(ops: Host) -> None:
    changed(ops, 2).unlink()
    assert (compared(ops).state, compared(ops).entry) == ("shortened", 1)


def test_one_that_was_rewritten_is_found_though_its_chain_holds(ops: Host) -> None:
    path = changed(ops, 4)
    entries = journal.read(path)
    first_two = path.read_text().splitlines(keepends=True)[:2]
    path.write_text("".join(first_two))
    for entry in entries[2:]:
        journal.append(path, entry["verb"], entry["ok"], {"changed": 99})
    assert journal.verify(path) == 4
    found = compared(ops)
    assert (found.state, found.entry) == ("forked", 3)
    # Nor does it help to go on with the forged one.
    changed(ops, 2)
    assert (compared(ops).state, compared(ops).entry) == ("forked", 3)


def test_one_that_was_written_anew_from_its_beginning_is_found(ops: Host) -> None:
    path = changed(ops, 3)
    rewritten(path, journal.read(path))
    assert journal.verify(path) == 3
    assert (compared(ops).state, compared(ops).entry) == ("forked", 1)


def test_where_nothing_is_kept_nothing_is_claimed(ops: Host) -> None:
    assert (compared(ops).state, compared(ops).holds) == ("unknown", True)


def test_another_controllers_journal_is_told_and_not_compared(ops: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as other:
        other.setattr(journal_head, "controller", lambda: "elsewhere:/till")
        changed(ops, 2).unlink()
    changed(ops, 1)
    assert compared(ops).state == "same"
    assert journal_head.read(ops)[1][0].startswith("elsewhere:/till has 2 entries of its own")  # type: ignore[arg-type]


def test_a_line_that_was_cut_off_spoils_no_other(ops: Host) -> None:
    changed(ops, 1)
    with ops.heads.open("a") as file:
        file.write('{"stack": "lab", "cou')
    changed(ops, 1)
    assert compared(ops).state == "same"
    assert [one["count"] for one in journal_head.read(ops)[0]] == [1, 2]  # type: ignore[arg-type]


def test_another_stacks_heads_are_not_ours() -> None:
    assert journal_head.parsed('{"stack": "staging", "count": 1}\n7\n\n', "lab") == []


def test_rows_tell_what_became_of_each_change() -> None:
    at = {"at": "2026-01-06T22:30:00.000+00:00", "by": "bob@laptop", "ok": True}
    signed = {"verb": "signoff", "version": "v2", "role": "qa", "item": "", "signed_by": "Al"}
    entries = [
        at | {"verb": "provision", "duration_s": 12.5},
        at | {"verb": "deploy", "ok": False, "new_version": "v2", "verdict": "fail", "reason": "no", "duration_s": 3.0},
        at | signed | {"revoked": True, "why": "x"},
        at | {"verb": "deploy", "new_version": "v3", "override": "urgent"},
    ]
    told = history.rows(entries, 0)
    assert [(one["entry"], one["verb"], one["version"], one["verdict"], one["reason"]) for one in told] == [
        (1, "provision", "", "ok", ""),
        (2, "deploy", "v2", "fail", "no"),
        (3, "signoff qa", "v2", "revoked", "x"),
        (4, "deploy", "v3", "ok", "urgent"),
    ]
    assert (told[0]["duration_s"], told[2]["by"], told[3]["duration_s"]) == (12.5, "Al", None)
    assert [one["entry"] for one in history.rows(entries, 2)] == [3, 4]


def test_the_verb_shows_and_verifies(ops: Host) -> None:
    path = changed(ops, 3)
    shown = CliRunner().invoke(app, ["history", "lab", "--verify"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "all 3 entries are chained" in shown.stdout
    document = json.loads(CliRunner().invoke(app, ["history", "lab", "--limit", "1", "--json"]).stdout)
    assert [one["entry"] for one in document["changes"]] == [3] and document["changes"][0]["duration_s"] >= 0
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    document = json.loads(CliRunner().invoke(app, ["history", "lab", "--verify", "--json"]).stdout)
    assert (document["ok"], document["head"]) == (False, "shortened") and "entry 3" in document["error"]
    path.write_text(path.read_text().replace('"changed": 1', '"changed": 7'))
    done = CliRunner().invoke(app, ["history", "lab", "--verify", "--json"])
    assert done.exit_code == 1 and "entry 2 was changed" in json.loads(done.stdout)["error"]


def test_a_head_that_can_not_be_read_is_no_proof(ops: Host) -> None:
    changed(ops, 1)
    ops.away = True
    with pytest.raises(HostUnreachable, match="all 1 entries are chained, but their head was not read: host ops"):
        approvals.read_history("lab", 0, True)
    done = CliRunner().invoke(app, ["history", "lab", "--verify", "--json"])
    assert done.exit_code == 4 and "host ops can't be reached" in json.loads(done.stdout)["error"]

"""The runner's end of the watch: what it hands over, and what it makes of what the watch did."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console
from typer.testing import CliRunner

from infra.contract import Contract
from tests.till.conftest import QUIET, build, contract_of, host
from till import paths
from till.changes import journal, journal_head, local_lock
from till.cli import watch as watch_cli
from till.cli.main import app as till
from till.errors import HostUnreachable, TillError
from till.hosts.session import UNREACHED, Session
from till.platforms.vps.edges import Intent
from till.records import deploy_documents, deploy_record
from till.records.deploy_record import Record
from till.rollout import release_watch
from till.stacks import stack
from till.verbs import watch

NEW, OLD = "v2.0.0", "v1.0.0"
AT = 1_795_634_100.25
RESULT = {
    "at": AT, "by": "till-release-watch@ops", "record": f"deploy-20261125T191400-{NEW}", "old_version": NEW,
    "new_version": OLD, "verdict": "pass", "reason": "12 of 40 payments failed within 60 s", "warning": "",
    "rollback_s": 1.2, "duration_s": 4.5,
    "measures": {
        "payments": {"verdict": "immediate", "sentence": "12 of 40 payments failed within 60 s"},
        "errors": {"verdict": "pass", "sentence": "0 of 900 requests failed within 60 s"},
        "orders": {"verdict": "insufficient", "sentence": "0 of 2"}, "paypal": {"verdict": "held", "sentence": "x"},
    },
}  # fmt: skip


class Place:
    """A session whose host ops has the program, which answers as it is told to."""

    def __init__(self, *roles: str) -> None:
        self.contract: Contract = contract_of(
            host("alpha"), host("ops", roles=["database", "etcd", *(roles or ["monitoring"])])
        )
        self.answers: dict[str, Any] = {"results": [RESULT], "show": {"watch": None}, "end": {"ended": True}}
        self.asked: list[list[str]] = []
        self.given, self.away = "", False

    def ssh(self, name: str, command: str, timeout_s: int = 30) -> subprocess.CompletedProcess[str]:
        words = shlex.split(command)[1:]
        self.asked.append([name, *words])
        if self.away:
            return subprocess.CompletedProcess([], UNREACHED, "", "no route to host")
        return subprocess.CompletedProcess([], 0, json.dumps(self.answers[words[0]]), "")

    def talk(self, name: str, command: str) -> subprocess.Popen[bytes]:
        self.asked.append([name, *shlex.split(command)[1:]])
        told = "sys.exit(255)" if self.away else f"open({self.given!r}, 'w').write(given); print('{{\"until\": 9}}')"
        program = f"import sys; given = sys.stdin.read(); {told}"
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.fixture
def verb(ops: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, found by the verb."""

    @contextmanager
    def opened(_contract: object) -> Iterator[Place]:
        yield ops

    monkeypatch.setattr(stack, "contract", lambda _name: ops.contract)
    monkeypatch.setattr(watch, "open_session", opened)
    monkeypatch.setattr(watch, "LOOK_S", 0)
    return ops


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: None) -> Place:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr("till.records.post_mortem.incidents.folder", lambda stack: tmp_path / "incidents" / stack)
    monkeypatch.setattr(journal_head, "push", lambda _: "")
    place = Place()
    place.given = str(tmp_path / "given.json")
    return place


def at(place: Place) -> Session:
    return cast(Session, place)


def deployed(**changed: Any) -> Record:
    return deploy_record.begin("lab", "deploy", "ann", NEW, **{"at": AT - 60, "old_version": OLD, **changed})


def intents(old_slot: str | None = "blue") -> dict[str, Intent]:
    return {"alpha": Intent(old_slot, "green", NEW, "till_release=x")}


def test_a_watch_is_handed_over_with_all_that_it_needs(ops: Place, app: Path) -> None:
    for version in (OLD, NEW):
        build(version, app)
    record = deployed()
    assert release_watch.begin(at(ops), record, intents(), QUIET) == {"watch": {"until": 9}}
    assert ops.asked == [["ops", "begin"]]
    assert json.loads(Path(ops.given).read_text()) == {
        "version": NEW, "old_version": OLD, "hosts": {"alpha": {"new_slot": "green", "old_slot": "blue"}},
        "record": record.name, "by": "ann", "deploy_at": AT - 60, "watch_s": 3600, "version_path": "",
        "unasked": ["/up"], "contracted": False,
    }  # fmt: skip


@pytest.mark.parametrize("none", ["first release", "same release", "no old version"])
def test_where_there_is_no_way_back_nobody_watches(ops: Place, none: str) -> None:
    old_slot = {"first release": None, "same release": "green"}.get(none, "blue")
    record = deployed(old_version=None if none == "no old version" else OLD)
    assert release_watch.begin(at(ops), record, intents(old_slot), QUIET) == {}
    assert ops.asked == []


def test_a_deploy_that_passed_stands_where_nobody_can_watch_and_says_so(ops: Place, app: Path) -> None:
    build(NEW, app)
    ops.away = True
    assert "ops can't be reached" in release_watch.begin(at(ops), deployed(), intents(), QUIET)["watch"]["fault"]
    release_watch.over(at(ops), "deploy v3.0.0", "ann", QUIET)
    assert release_watch.collect(at(ops), QUIET) == []
    with pytest.raises(HostUnreachable):
        release_watch.read_watch(at(ops))


def test_a_stack_without_a_host_that_watches_is_not_asked(ops: Place) -> None:
    place = Place("nameserver")
    release_watch.over(at(place), "deploy v3.0.0", "ann", QUIET)
    assert release_watch.collect(at(place), QUIET) == [] and place.asked == []
    assert release_watch.collect(at(ops), QUIET, unreached=["ops"]) == [] and ops.asked == []
    with pytest.raises(TillError, match="no host with the role monitoring"):
        release_watch.read_watch(at(place))


def test_what_the_watch_did_becomes_a_record_papers_and_an_entry_once(ops: Place, tmp_path: Path) -> None:
    (name,) = release_watch.collect(at(ops), QUIET)
    record = deploy_record.load("lab", name)
    assert (record.kind, record.by, record.at) == ("rollback", "till-release-watch@ops", AT)
    assert (record.old_version, record.new_version, record.verdict) == (NEW, OLD, "pass")
    assert (record.rollback_s, record.duration_s, record.reason) == (1.2, 4.5, RESULT["reason"])
    assert {one.gate: one.verdict for one in record.gates} == {
        "payments": "fail", "errors": "pass", "orders": "insufficient", "paypal": "skipped",
    }  # fmt: skip
    papers = (tmp_path / "incidents" / "lab" / f"{name}.md").read_text()
    assert f"Post-mortem: {NEW} of lab was taken back" in papers and "12 of 40 payments failed" in papers
    assert (tmp_path / "deploys" / "lab" / f"{name}.html").exists()
    (entry,) = journal.read(paths.journal_file("lab"))
    assert (entry["verb"], entry["by"], entry["ok"]) == ("rollback", "till-release-watch@ops", True)
    assert (entry["new_version"], entry["record"], entry["fetched_by"]) == (OLD, name, journal.account())
    assert journal.verify(paths.journal_file("lab")) == 1
    assert release_watch.collect(at(ops), QUIET) == []
    assert len(journal.read(paths.journal_file("lab"))) == 1


def test_two_tills_at_once_leave_one_record_of_one_rollback(ops: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, together = deploy_documents.close_record, threading.Barrier(2)

    def slowly(*given: Any) -> dict[str, str]:
        time.sleep(0.3)
        return closed(*given)

    def collected() -> list[str]:
        together.wait(10)
        return release_watch.collect(at(ops), QUIET)

    monkeypatch.setattr(deploy_documents, "close_record", slowly)
    with ThreadPoolExecutor(2) as both:
        names = [one.result(30) for one in [both.submit(collected) for _ in range(2)]]
    assert sorted(map(len, names)) == [0, 1]
    assert deploy_record.names("lab") == [name for found in names for name in found]
    assert len(journal.read(paths.journal_file("lab"))) == 1


def test_a_till_that_is_killed_while_it_writes_is_made_up_for(ops: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    for module, name in ((deploy_documents, "close_record"), (journal, "append")):
        with monkeypatch.context() as broken:
            broken.setattr(module, name, cut)
            with pytest.raises(KeyboardInterrupt):
                release_watch.collect(at(ops), QUIET)
    (name,) = release_watch.collect(at(ops), QUIET)
    assert deploy_record.names("lab") == [name]
    assert deploy_record.load("lab", name).verdict == "pass"
    assert [entry["record"] for entry in journal.read(paths.journal_file("lab"))] == [name]
    assert release_watch.collect(at(ops), QUIET) == []


def test_who_never_gets_the_turn_to_write_says_so_and_the_verb_goes_on(
    ops: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = local_lock.hold_records_lock
    monkeypatch.setattr(local_lock, "hold_records_lock", lambda path: real(path, within_s=0.1))
    with real(paths.records_lock_file("lab")):
        assert release_watch.collect(at(ops), QUIET) == []
    assert len(release_watch.collect(at(ops), QUIET)) == 1


def test_a_try_that_failed_is_no_rollback(ops: Place) -> None:
    failed = {"verdict": "fail", "warning": "no route to bravo", "rollback_s": None, "at": AT + 30}
    ops.answers["results"] = [RESULT, {**RESULT, **failed}]
    first, second = (deploy_record.load("lab", name) for name in release_watch.collect(at(ops), QUIET))
    assert (first.verdict, second.verdict, second.steps) == ("pass", "fail", [])
    assert second.reason == f"{RESULT['reason']}; no route to bravo"
    assert [one["ok"] for one in journal.read(paths.journal_file("lab"))] == [True, False]


def test_a_release_that_the_watch_took_back_is_void(ops: Place) -> None:
    from till.rollout import rollback

    release_watch.collect(at(ops), QUIET)
    assert rollback.voided(deploy_record.every("lab")) == {NEW}


def test_it_is_ended_with_a_reason(ops: Place) -> None:
    assert release_watch.end(at(ops), "deploy v3.0.0", "ann@laptop") is True
    assert ops.asked == [["ops", "end", "deploy v3.0.0", "ann@laptop"]]


FOUND: dict[str, Any] = {
    "stack": "lab",
    "watch": {
        "version": NEW, "old_version": OLD, "until": AT + 3000, "now": AT, "ended": None, "waits": "", "since": AT - 600
    },
    "look": {"measures": RESULT["measures"]},
}  # fmt: skip


def test_people_see_every_measure_and_how_long_it_goes_on() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(watch_cli.table(FOUND))
    shown = console.export_text()
    assert f"{NEW} after {OLD}, watched for 50:00 more" in shown
    assert "payments" in shown and "12 of 40 payments failed" in shown
    said = watch_cli.verdicts(FOUND)
    assert said.startswith(f"{NEW}: payments immediate, errors pass") and "12 of 40" in said and "0 of 900" not in said
    assert "nobody has looked yet" in watch_cli.verdicts({**FOUND, "look": None})


def test_the_last_line_says_how_it_stands() -> None:
    assert watch_cli.closing(FOUND) == f"lab: {NEW} is watched on: till watch lab"
    assert watch_cli.closing({"stack": "lab", "watch": None}) == "lab: no release was watched"
    ended = {**FOUND["watch"], "ended": {"at": AT, "why": "taken back", "by": "x"}}
    assert (
        watch_cli.closing({**FOUND, "watch": ended})
        == f"lab: the watch of {NEW} ended 2026-11-25 19:15:00Z: taken back"
    )


def test_the_verb_tells_the_state_once_as_json(verb: Place) -> None:
    verb.answers |= {"show": {name: FOUND[name] for name in ("watch", "look")}, "results": []}
    done = CliRunner().invoke(till, ["watch", "lab", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["ok"], told["watch"]["version"]) == (True, NEW)
    assert told["look"]["measures"]["payments"]["verdict"] == "immediate"
    assert [words[1] for words in verb.asked] == ["results", "show"]


def test_the_verb_looks_on_until_the_watch_ends_and_tells_what_it_did(
    verb: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(
        [FOUND, FOUND, {**FOUND, "watch": {**FOUND["watch"], "ended": {"at": AT, "why": "taken back", "by": "x"}}}]
    )

    def shown(_session: Any) -> dict[str, Any]:
        # It acts while it is looked on.
        verb.answers["results"] = [RESULT]
        return {name: found[name] for found in [next(looks)] for name in ("watch", "look")}

    verb.answers["results"] = []
    monkeypatch.setattr(release_watch, "read_watch", shown)
    done = CliRunner().invoke(till, ["watch", "lab"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    # A line where something is new, and the last one.
    assert [line for line in done.stdout.splitlines() if "payments immediate" in line] == [watch_cli.verdicts(FOUND)]
    assert done.stdout.splitlines()[-1].endswith("taken back")
    assert len(journal.read(paths.journal_file("lab"))) == 1


def test_who_has_seen_enough_leaves_the_watch_going_on(verb: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    verb.answers |= {"show": {name: FOUND[name] for name in ("watch", "look")}, "results": []}

    def enough(_s: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", enough)
    done = CliRunner().invoke(till, ["watch", "lab"])
    assert done.exit_code == 0 and "is watched on" in done.stdout
    assert "end" not in [words[1] for words in verb.asked]


def test_a_watch_that_is_ended_by_hand_stands_in_the_journal(verb: Place) -> None:
    verb.answers["show"] = {name: FOUND[name] for name in ("watch", "look")}
    told = json.loads(CliRunner().invoke(till, ["watch", "lab", "--end", "--json"]).stdout)
    assert told["was_ended"] is True
    assert verb.asked[0] == ["ops", "end", "ended by hand", journal.account()]
    (entry,) = journal.read(paths.journal_file("lab"))
    assert (entry["verb"], entry["version"], entry["ended"]) == ("watch end", NEW, True)

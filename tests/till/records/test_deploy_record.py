"""The record of a deploy: whole at any moment, kept within a number, readable from another version of Till."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from till import paths
from till.errors import TillError, UsageError
from till.records import deploy_record, deploy_traffic
from till.records.deploy_record import Gate, Record, Sample, Step

AT = 1_795_634_100.0
OLDEST: dict[str, Any] = {
    "name": "deploy-20261125T191500-v1.1.0", "stack": "lab", "kind": "deploy", "by": "ann", "at": AT,
    "new_version": "v1.1.0",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    return tmp_path / "deploys" / "lab"


def begun(version: str = "v1.1.0", at: float = AT, **known: Any) -> Record:
    return deploy_record.begin("lab", "deploy", "ann", version, at=at, **known)


def test_a_record_is_there_unfinished_from_its_first_moment_and_grows(folder: Path) -> None:
    record = begun(strategy="canary", old_version="v1.0.0", plan=[{"percent": 5, "hold_s": 30}])
    assert record.name == OLDEST["name"]
    assert deploy_record.load("lab", record.name).verdict == "unfinished"
    record.steps.append(Step(at_s=4, percent=5))
    record.gates.append(Gate(at_s=9, phase="step 5 %", gate="errors", verdict="pass", sentence="0 of 90 failed"))
    record.phases["ship"] = 3.2
    deploy_record.save(record)
    again = deploy_record.load("lab", record.name)
    assert again == record and again.steps[0].percent == 5
    deploy_record.finish(record, "pass")
    assert deploy_record.load("lab", record.name).verdict == "pass"
    assert [one.suffix for one in folder.iterdir()] == [".json"]


def test_a_till_killed_while_it_writes_leaves_the_state_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = begun()

    def killed(_descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "fsync", killed)
        record.reason = "x" * 10_000
        deploy_record.save(record)
    assert deploy_record.load("lab", record.name).reason == ""
    assert deploy_record.names("lab") == [record.name]


def test_two_deploys_of_a_version_within_a_second_keep_a_record_each() -> None:
    assert [begun().name, begun().name] == [OLDEST["name"], f"{OLDEST['name']}.2"]
    assert len(deploy_record.every("lab")) == 2


def test_records_are_oldest_first_whatever_they_are_of_and_old_ones_make_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_record, "thresholds", lambda: {"deploy": {"records_kept": 3}})
    first = begun()
    (folder / f"{first.name}.html").write_text("its page")
    (folder / f".{first.name}.77.partial").write_text("of a till that was killed")
    deploy_record.begin("lab", "rollback", "ann", "v1.0.0", at=AT + 60)
    begun("v1.2.0", AT + 120)
    assert [one.kind for one in deploy_record.every("lab")] == ["deploy", "rollback", "deploy"]
    begun("v1.3.0", AT + 180)
    assert [one.new_version for one in deploy_record.every("lab")] == ["v1.0.0", "v1.2.0", "v1.3.0"]
    assert not [one.name for one in folder.iterdir() if first.name in one.name]


def test_a_record_of_an_older_and_of_a_newer_till_can_be_read(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / f"{OLDEST['name']}.json").write_text(json.dumps({**OLDEST, "unheard_of": 1}))
    record = deploy_record.load("lab", OLDEST["name"])
    assert (record.verdict, record.gates, record.old_version, record.failed_requests) == ("unfinished", [], None, None)


def test_what_is_no_record_says_what_and_where(folder: Path) -> None:
    for name in ("../../passphrase", "deploy-20261125T191500-", "deploy-20261125T191500-v1/../x"):
        with pytest.raises(UsageError, match="is no record"):
            deploy_record.load("lab", name)
    with pytest.raises(UsageError, match="has no record"):
        deploy_record.load("lab", OLDEST["name"])
    folder.mkdir(parents=True)
    (folder / f"{OLDEST['name']}.json").write_text('{"name": "cut o')
    with pytest.raises(TillError, match=r"v1\.1\.0\.json can't be read"):
        deploy_record.every("lab")


def test_a_verdict_that_is_none_is_refused() -> None:
    record = begun()
    with pytest.raises(ValidationError):
        record.verdict = "fine"  # type: ignore[assignment]
    with pytest.raises(ValidationError):
        Gate(at_s=0, phase="preview", gate="smoke", verdict="maybe")  # type: ignore[arg-type]


def test_facts_are_what_the_verb_tells() -> None:
    record = begun(old_version="v1.0.0", switch_s=0.4, failed_requests=0, phases={"ship": 3.2})
    assert deploy_record.facts(record)["ok"] is False
    deploy_record.finish(record, "pass", "good")
    assert deploy_record.facts(record) == {
        "ok": True, "strategy": "blue-green", "old_version": "v1.0.0", "new_version": "v1.1.0", "verdict": "pass",
        "reason": "good", "failed_requests": 0, "switch_s": 0.4, "rollback_s": None, "phases": {"ship": 3.2},
    }  # fmt: skip


def test_many_samples_are_kept_coarser_and_no_request_is_lost() -> None:
    record = begun()
    record.traffic = [
        Sample(at_s=second, version=version, requests=10, errors=second % 2, p95_ms=second if version == "b" else None)
        for second in range(10_000)
        for version in ("a", "b")
    ]
    deploy_record.save(record)
    kept = deploy_record.load("lab", record.name).traffic
    assert 2000 < len(kept) <= 4000
    assert {one.version: (one.requests, one.errors, one.p95_ms) for one in deploy_traffic.totals(kept).values()} == {
        "a": (100_000, 5000, None), "b": (100_000, 5000, 9999.0)
    }  # fmt: skip
    assert deploy_traffic.thinned(kept, 4000) == kept
    # However little is allowed, each version stays.
    assert len(deploy_traffic.thinned(kept, 1)) == 2

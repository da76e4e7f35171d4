"""The end of a deploy or rollback: what the verb tells is what the record says then, however it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.till.conftest import LAB
from till import paths
from till.errors import GateSaidNo
from till.records import deploy_documents, deploy_record

OLD, NEW = "v1.0.0", "v1.1.0"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> deploy_record.Record:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    return deploy_record.begin("lab", "rollback", "ada@laptop", NEW, old_version=OLD)


def test_what_went_well_says_so_with_its_papers(record: deploy_record.Record) -> None:
    told = deploy_documents.after(LAB, record, lambda: None, lambda: {"changed": 2})
    assert (told["ok"], told["verdict"], told["changed"], told["record"]) == (True, "pass", 2, record.name)
    assert Path(told["report"]).is_file()
    assert deploy_record.load("lab", record.name).verdict == "pass"


def test_a_no_is_told_with_the_same_facts_and_its_reason(record: deploy_record.Record) -> None:
    def work() -> None:
        raise GateSaidNo("it is slow")

    with pytest.raises(GateSaidNo) as raised:
        deploy_documents.after(LAB, record, work)
    facts = raised.value.facts
    assert (facts["ok"], facts["verdict"], facts["reason"]) == (False, "fail", "it is slow")
    assert deploy_record.load("lab", record.name).reason == "it is slow"


def test_too_little_traffic_stays_a_verdict_of_its_own(record: deploy_record.Record) -> None:
    def work() -> None:
        record.verdict = "insufficient"
        raise GateSaidNo("nothing was proven")

    with pytest.raises(GateSaidNo):
        deploy_documents.after(LAB, record, work)
    assert deploy_record.load("lab", record.name).verdict == "insufficient"


def test_whoever_interrupts_it_leaves_an_ended_record(record: deploy_record.Record) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy_documents.after(LAB, record, work)
    kept = deploy_record.load("lab", record.name)
    assert (kept.verdict, kept.reason) == ("fail", "interrupted")

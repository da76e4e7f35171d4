"""The guide's sign-off documents: what is known stands in them, nothing is signed for anybody, people's words stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from till import paths
from till.approvals import document
from till.approvals.document import Known
from till.records.deploy_record import Record
from till.verdict import Verdict
from till_host.notifications.incident_document import PEOPLE

NOW = datetime(2026, 11, 25, 19, 0, tzinfo=UTC)
RECORD = Record.model_validate({
    "name": "deploy-20261125T191500-v1.1.0", "stack": "production", "kind": "deploy", "by": "ann@laptop",
    "at": 1_795_634_100.0, "new_version": "v1.1.0", "verdict": "pass",
})  # fmt: skip
SIGNED, UNSIGNED = Verdict("signoff qa", True, "bob signed as QA/Testing Lead"), Verdict("signoff qa", False, "nobody")
ITEM = {"item": "backup", "says": "Backup | taken", "by": "backup", "passed": True, "sentence": "1 h old"}
KNOWN = Known(
    stack="production", environment="production", version="v1.1.0", sha256="ab" * 32, digest="cd" * 32, items=(ITEM,),
    roles=(("QA/Testing Lead", SIGNED),), record=RECORD,
)  # fmt: skip


def test_a_deploy_that_passed_and_is_signed_is_ready_and_nobody_signs_for_a_person() -> None:
    text = document.render(KNOWN, NOW)
    for part in (
        "# Production deployment sign-off: v1.1.0 on production", "| Date/time | 2026-11-25 19:15:00 UTC |",
        "| Deployed by | ann@laptop |", "| Deployment status | PASSED |", "| Rollback required | NO |",
        "| Backup \\| taken | backup | yes | 1 h old |", "| QA/Testing Lead | yes | bob signed as QA/Testing Lead |",
        "None that a gate or a check found.", "Ready for normal operations: **YES**", "All-clear by: ______",
        "Signature: ______", "abab", "cdcd",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"roles": (("QA/Testing Lead", UNSIGNED),)}, "| QA/Testing Lead | no | nobody |"),
        ({"record": None}, "not deployed here"),
        ({"items": ({**ITEM, "passed": False, "sentence": "3 days old"},)}, "- backup: 3 days old"),
        (
            {"record": RECORD.model_copy(update={"verdict": "fail", "reason": "errors", "rollback_s": 0.2})},
            "| Rollback required | YES, it took 0.2 s |",
        ),
    ],
)
def test_what_is_missing_is_told_and_makes_it_not_ready(changed: dict[str, object], told: str) -> None:
    text = document.render(replace(KNOWN, **changed), NOW)  # type: ignore[arg-type]
    assert told in text
    assert "Ready for normal operations: **NO**" in text


def test_staging_has_the_guides_own_form() -> None:
    text = document.render(replace(KNOWN, stack="staging", environment="staging"), NOW)
    for part in ("# Staging deployment sign-off", "| Tested by | ann@laptop |", "| Results | PASSED |",
                 "Ready for production: **YES**", "Approved by: ______"):  # fmt: skip
        assert part in text, part
    assert "All-clear" not in text


def test_what_people_wrote_stays_when_it_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    path = document.write(replace(KNOWN, record=None), NOW)
    assert path == tmp_path / "signoffs" / "production" / "v1.1.0-cdcdcdcdcdcd.md"
    path.write_text(path.read_text().replace("All-clear by: ______", "All-clear by: Ann"))
    assert document.write(KNOWN, NOW) == path
    above, _, below = path.read_text().partition(PEOPLE)
    assert "PASSED" in above and "All-clear by: Ann" in below
    # For another artefact, setting or plan nobody has said anything yet.
    other = document.write(replace(KNOWN, digest="ef" * 32), NOW)
    assert other != path and "All-clear by: ______" in other.read_text()


def rollback(at: float, **changed: object) -> Record:
    known = {"name": "rollback-20261125T201500-v1.0.0", "kind": "rollback", "at": at, "new_version": "v1.0.0",
             "old_version": "v1.1.0", "by": "the watch", "rollback_s": 0.3}  # fmt: skip
    return Record.model_validate({**RECORD.model_dump(), **known, **changed})


def test_the_last_deploy_of_this_artefact_counts_and_what_took_it_back_since() -> None:
    deploy = RECORD.model_copy(update={"new_sha256": "ab" * 32})
    other = RECORD.model_copy(update={"new_sha256": "99" * 32})
    later, before = rollback(RECORD.at + 60), rollback(RECORD.at - 60)
    find = lambda *every: document.records(list(every), "v1.1.0", "ab" * 32)  # noqa: E731
    assert find(other) == (None, None)
    assert find(before, deploy) == (deploy, None)
    assert find(deploy, later) == (deploy, later)
    assert find(deploy, rollback(RECORD.at + 60, old_version="v0.9.0"))[1] is None
    text = document.render(replace(KNOWN, taken_back=later), NOW)
    for part in ("FAILED: taken back by the watch", "| Rollback required | YES, it took 0.3 s |", "operations: **NO**"):
        assert part in text, part


def test_a_role_that_signed_each_of_its_items_has_signed() -> None:
    items = [{"passed": True}, {"passed": True}]
    assert document.judged("QA/Testing Lead", UNSIGNED, items).passed
    assert document.judged("QA/Testing Lead", UNSIGNED, [*items, {"passed": False}]) == UNSIGNED
    assert document.judged("QA/Testing Lead", UNSIGNED, []) == UNSIGNED
    assert document.judged("QA/Testing Lead", SIGNED, []) == SIGNED

"""The post-mortem of a release that was taken back: what the record knows, and what people wrote into it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from till.cli.main import app
from till.records import incidents, post_mortem
from till.records.deploy_record import Gate, Record, Sample, Step
from till.stacks import stack
from till.verbs import incidents as incident_verbs
from till_host.notifications.incident_document import PEOPLE

BARE: dict[str, Any] = {
    "name": "deploy-20261125T191500-v1.1.0", "stack": "lab", "kind": "deploy", "by": "ann", "at": 1_795_634_100.0,
    "new_version": "v1.1.0",
}  # fmt: skip
RECORD = Record.model_validate(BARE).model_copy(
    update={
        "old_version": "v1.0.0", "verdict": "fail", "reason": "9 of 90 failed",
        "steps": [Step(at_s=20, percent=5), Step(at_s=40, percent=25), Step(at_s=61, percent=0)],
        "gates": [
            Gate(at_s=12, phase="preview", gate="smoke", verdict="pass", sentence="order 17 was paid"),
            *(Gate(at_s=20 + n, phase="step 5 %", gate="errors", verdict="pass", sentence="none") for n in range(20)),
            Gate(at_s=60, phase="step 25 %", gate="errors", verdict="fail", sentence="9 of 90 failed"),
        ],
        "traffic": [
            Sample(at_s=50, version="v1.1.0", requests=90, errors=9),
            Sample(at_s=50, version="v1.0.0", requests=0),
        ],
        "rollback_s": 1.0, "failed_requests": 9, "duration_s": 63.0, "new_sha256": "b7" * 32,
    }
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(incidents, "STATE", tmp_path)
    return tmp_path / "incidents" / "lab"


def test_the_document_has_the_fields_of_the_guide_and_what_the_record_knows() -> None:
    text = post_mortem.render(RECORD)
    for part in (
        "# Post-mortem: v1.1.0 of lab was taken back", "| Date | 2026-11-25 19:15:00 UTC |",
        "| Issue | 9 of 90 failed |", "| Duration | 41.0 s,",
        "at most 25 %", "| Requests that failed | 9 |", "90 requests, 9 failed (10.00 %)",
        "| Answered by v1.0.0 | 0 requests, 0 failed |", "b7b7", "Root cause", "Payments affected: ______ %",
        "Revenue impact: ______", "Users affected: ______", "Lessons learned", "Action items",
        "Responsible person: ______",
    ):  # fmt: skip
        assert part in text, part


def test_the_timeline_is_in_order_with_the_guides_moments() -> None:
    rows = [(row["at"][-8:], row["what"].partition(":")[0]) for row in post_mortem.timeline(RECORD)]
    assert rows == [
        ("19:15:00", "Deploy began"),
        ("19:15:12", "Gate"),
        ("19:15:20", "5 % of the traffic goes to v1.1.0"),
        ("19:15:20", "Gate"),
        ("19:15:40", "25 % of the traffic goes to v1.1.0"),
        ("19:15:50", "First request that v1.1.0 failed"),
        ("19:16:00", "Issue detected"),
        ("19:16:00", "Rollback initiated"),
        ("19:16:01", "0 % of the traffic goes to v1.1.0"),
        ("19:16:01", "Rollback completed"),
        ("19:16:03", "Deploy ended"),
    ]


def test_nothing_is_claimed_that_a_record_does_not_know() -> None:
    bare = post_mortem.render(Record.model_validate_json(json.dumps(BARE)))
    assert "not finished" in bare and "| Issue | ______ |" in bare and "| Requests that failed | not counted |" in bare
    assert "as far as the record knows | not known |" in bare and "not measured" in bare
    kept = post_mortem.render(RECORD.model_copy(update={"steps": []}))
    assert "was not let in" in kept and "0 s: no traffic reached the release" in kept
    stuck = post_mortem.render(RECORD.model_copy(update={"steps": RECORD.steps[:2]}))
    assert "Rollback completed" not in stuck and "| Duration | ______ (" in stuck and "knows | not known |" in stuck
    fields = {**BARE, "kind": "rollback", "name": "rollback-20261125T191500-v1.0.0", "new_version": "v1.0.0"}
    back = Record.model_validate({**fields, "old_version": "v1.1.0", "verdict": "pass", "rollback_s": 3.2})
    text = post_mortem.render(back)
    assert "v1.1.0 of lab was taken back" in text and "the rollback itself: 3.2 s" in text


def test_hostile_words_end_no_cell_and_are_no_html_nor_the_line() -> None:
    hostile = f"a | b\n{PEOPLE}\n@seal@ <script>x</script>"
    text = post_mortem.render(RECORD.model_copy(update={"reason": hostile, "override": hostile, "by": hostile}))
    assert text.count(PEOPLE) == 1 and "<script" not in text and "| Issue | a \\| b &lt;!--" in text
    assert post_mortem.again(text, "anew" + PEOPLE).startswith("anew")


def test_what_is_known_later_comes_in_and_what_people_wrote_stays() -> None:
    path = post_mortem.write(RECORD.model_copy(update={"verdict": "unfinished", "duration_s": None}))
    path.write_text(path.read_text().replace("## Root cause\n______", "## Root cause\nA null."))
    assert post_mortem.write(RECORD) == path
    assert "A null." in path.read_text() and "Deploy ended: fail" in path.read_text()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("old", "new"),
    [("9 of 90 failed", "A person knows better"), (PEOPLE, ""), ("<!-- Till wrote", "<!-- Somebody wrote")],
)
def test_a_document_whose_upper_part_a_person_edited_is_left_as_it_is(old: str, new: str) -> None:
    path = post_mortem.write(RECORD)
    edited = path.read_text().replace(old, new)
    path.write_text(edited)
    post_mortem.write(RECORD.model_copy(update={"reason": "another"}))
    assert path.read_text() == edited


def test_a_document_that_a_person_cut_off_at_the_line_is_left_as_it_is() -> None:
    path = post_mortem.write(RECORD)
    cut = path.read_text().partition(PEOPLE)[0]
    path.write_text(cut)
    post_mortem.write(RECORD.model_copy(update={"reason": "another"}))
    assert path.read_text() == cut


def test_no_traffic_before_there_was_any_is_no_way_back() -> None:
    steps = [Step(at_s=1, percent=0), *RECORD.steps]
    assert post_mortem.taken_back(RECORD.model_copy(update={"steps": steps})) == RECORD.steps[-1]
    assert post_mortem.taken_back(RECORD.model_copy(update={"steps": steps[:3]})) is None


def test_till_incident_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    path = post_mortem.write(RECORD)
    # By its name no host is asked: the contract of this stack can't be read here.
    answer = CliRunner().invoke(app, ["incident", "show", "lab", RECORD.name, "--json"])
    assert json.loads(answer.stdout)["document"] == str(path)
    assert "Post-mortem: v1.1.0" in CliRunner().invoke(app, ["incident", "show", "lab", RECORD.name]).stdout
    monkeypatch.setattr(stack, "contract", lambda name: name)
    monkeypatch.setattr(incident_verbs, "open_session", nullcontext)
    lost = [
        {"id": "20270115T080000Z-alpha", "began": 1.8e9, "ended": None, "lost": ["alpha"], "measured": {}, "events": []}
    ]
    monkeypatch.setattr(incidents, "found", lambda _session: (lost, {}))
    monkeypatch.setattr(incidents, "write", lambda _stack, one: path.with_name(f"{one['id']}.md"))
    listed = json.loads(CliRunner().invoke(app, ["incident", "list", "lab", "--json"]).stdout)
    assert [one["id"] for one in listed["post_mortems"]] == [RECORD.name] and len(listed["incidents"]) == 1
    assert RECORD.name in CliRunner().invoke(app, ["incident", "list", "lab"]).stdout
    # The newest of both kinds is shown: the lost site is of 2027.
    newest = json.loads(CliRunner().invoke(app, ["incident", "show", "lab", "--json"]).stdout)
    assert newest["id"] == lost[0]["id"]
    monkeypatch.setattr(incidents, "found", lambda _session: ([], {}))
    assert json.loads(CliRunner().invoke(app, ["incident", "show", "lab", "--json"]).stdout)["id"] == RECORD.name


def test_other_documents_there_are_no_post_mortems(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "20261125T191500Z-alpha.md").write_text("an incident")
    assert post_mortem.written("lab") == [] and post_mortem.written("staging") == []

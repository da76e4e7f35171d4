"""What happened, put together from what several hosts saw; the document, and what people wrote into it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from till.errors import UsageError
from till.records import incidents
from till_host.notifications import incident_document

BEGAN = 1_800_000_000.0
TEMPLATE = incidents.TEMPLATE.read_text()


def event(after_s: float, kind: str, subject: str, state: str, host: str = "bravo", **more: Any) -> dict[str, Any]:
    at = BEGAN + after_s
    text = f"{kind} of {subject or 'an alert'}.\nNext: till status lab"
    return {
        "id": f"{int(at * 1000):014d}-{kind}-{host}-0000", "kind": kind, "subject": subject, "state": state, "at": at,
        "host": host, "title": "", "text": text, "tell": True,
        "facts": {"since": BEGAN if kind == "start" else at}, **more,
    }  # fmt: skip


STORY = [
    event(-0.5, "names", "names", "bravo", tell=False),
    event(0, "stopped", "payments", "stopped", tell=False),
    event(3, "start", "site:alpha", "lost"),
    event(20, "switch", "leader", "bravo"),
    event(24, "verified", "payments", "possible"),
    event(90, "heal", "site:alpha", "well"),
]
# The same, as another host saw it, a moment later; and of another day.
OTHERS = [event((one["at"] - BEGAN) + 1, one["kind"], one["subject"], one["state"], "ops") for one in STORY]
LATER = [event(9000, "start", "site:bravo", "lost", facts={"since": BEGAN + 8997})]


def test_one_incident_of_what_two_hosts_saw_with_its_measures() -> None:
    first, second = incident_document.incidents([*LATER, *OTHERS, *STORY])
    assert first["id"] == f"{datetime.fromtimestamp(BEGAN, UTC):%Y%m%dT%H%M%SZ}-alpha"
    assert [one["host"] for one in first["events"]] == ["bravo"] * len(STORY)
    assert first["measured"] == {
        "detected_s": 3.0, "promoted_s": 20.0, "dns_switch_s": 0.0, "verified_s": 24.0, "healed_s": 90.0
    }  # fmt: skip
    assert (second["lost"], second["ended"]) == (["bravo"], None)
    assert second["measured"] == {"detected_s": 3.0}
    assert len(second["events"]) == 1


def test_two_sites_lost_in_turn_are_one_incident_until_both_are_well() -> None:
    story = [
        *STORY[:5],
        event(30, "start", "site:bravo", "lost"),
        event(60, "heal", "site:alpha", "well"),
        event(95, "heal", "site:bravo", "well"),
    ]
    (one,) = incident_document.incidents(story)
    assert one["lost"] == ["alpha", "bravo"]
    assert one["measured"]["healed_s"] == 95.0
    (half,) = incident_document.incidents(story[:-1])
    assert half["ended"] is None


def document(*journal: dict[str, Any], story: list[dict[str, Any]] = STORY) -> str:
    (one,) = incident_document.incidents(story)
    return incident_document.render(TEMPLATE, "lab", one, journal)


def test_the_document_has_the_fields_of_the_guide_and_a_timeline_with_the_operators_part() -> None:
    at = datetime.fromtimestamp(BEGAN + 40, UTC).isoformat()
    text = document(
        {"at": at, "by": "ann@desk", "verb": "provision", "ok": False, "reason": "a | b\nc"},
        {"at": at.replace("2027", "2020"), "by": "ann@desk", "verb": "deploy", "ok": True},
    )
    for part in (
        "stopped for 24.0 s at most", "| payments possible again (`verified_s`) | 24.0 |", "Payments affected",
        "Revenue impact", "Users affected", "Root cause", "Resolution", "Lessons learned", "Action items",
        "Responsible person", "Support team", "names of names. (not told)", "start of site:alpha.",
        "| ann@desk | till provision: failed: a \\| b c |",
    ):  # fmt: skip
        assert part in text, part
    assert "till deploy" not in text
    assert "still open" in document(story=STORY[:-1])
    assert "not interrupted" in document(story=[STORY[2]])


def test_what_people_wrote_stays_and_what_is_known_is_brought_up_to_date() -> None:
    before = document(story=STORY[:3]).replace("## Root cause\n______", "## Root cause\nA cable.")
    after = incident_document.again(before, document())
    assert "## Root cause\nA cable." in after
    assert "verified of payments." in after
    assert after.count(incident_document.PEOPLE) == 1


def test_an_incident_that_is_not_there_is_refused_with_the_next_command() -> None:
    every = incident_document.incidents([*STORY, *LATER])
    assert incidents.chosen("lab", every, "")["lost"] == ["bravo"]
    assert incidents.chosen("lab", every, every[0]["id"]) == every[0]
    with pytest.raises(UsageError, match="till incident list lab"):
        incidents.chosen("lab", every, "nothing")

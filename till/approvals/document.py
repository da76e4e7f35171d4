"""The guide's sign-off documents (staging, section 3; production, section 3), filled in from what is known.

What a role signed stands in the journal (till signoff) and is only told here; what people write below the line stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till.approvals.signoff import SHOWN_DIGEST
from till.paths import CHECKOUT, signoffs_dir
from till.records import markdown
from till.records.deploy_record import Record
from till.verdict import Verdict
from till_host.notifications import incident_document

TEMPLATE = CHECKOUT / "templates" / "signoff.md.j2"
WORDS = {True: "yes", False: "no", None: "-"}


@dataclass(frozen=True)
class Known:
    """Of one release on one stack: what is signed, the checklist's rows, the verdict of each role, its last deploy, and
    the rollback that took it back after that."""

    stack: str
    environment: str
    version: str
    sha256: str
    digest: str
    items: tuple[dict[str, Any], ...]
    roles: tuple[tuple[str, Verdict], ...]
    record: Record | None
    taken_back: Record | None = None


def records(every: list[Record], version: str, sha256: str) -> tuple[Record | None, Record | None]:
    """The last deploy of this very artefact, and the rollback that took it back since. Pure; records oldest first."""
    deploys = [one for one in every if one.kind == "deploy" and one.new_version == version and one.new_sha256 == sha256]
    last = deploys[-1] if deploys else None
    back = [one for one in every if last and one.kind == "rollback" and one.verdict == "pass" and one.at > last.at]
    return last, next((one for one in back if one.old_version == version), None)


def judged(title: str, blanket: Verdict, items: list[dict[str, Any]]) -> Verdict:
    """A role's word: for all that it signs, or for each wanted item of it by itself. Pure."""
    if blanket.passed or not items or not all(one["passed"] for one in items):
        return blanket
    return Verdict(blanket.gate, True, f"each of its items is signed as {title}")


def write(known: Known, now: datetime) -> Path:
    """Write the document, or bring Till's part of it up to date; its path."""
    # People's words are for what they saw: another artefact, setting or plan has a document of its own.
    path = signoffs_dir(known.stack) / f"{known.version}-{known.digest[:SHOWN_DIGEST]}.md"
    return markdown.write(path, render(known, now), incident_document.again)


def render(known: Known, now: datetime) -> str:
    """The document, in Markdown. Pure but for reading the template."""
    record = known.record
    issues = _issues(known)
    return markdown.render(
        TEMPLATE,
        stack=known.stack,
        staging=known.environment == "staging",
        version=known.version,
        sha256=known.sha256,
        digest=known.digest,
        date=(datetime.fromtimestamp(record.at, UTC) if record else now).strftime("%Y-%m-%d %H:%M:%S"),
        deployed_by=record.by if record else "",
        verified_by="Till: the gates of the record" if record and record.verdict == "pass" and not issues else "______",
        status=_status(known),
        rollback=_rollback(known),
        record=record.name if record else "",
        issues=issues,
        items=known.items,
        roles=[{"title": title, "passed": one.passed, "sentence": one.sentence} for title, one in known.roles],
        ready=not issues and record is not None and all(one.passed for _, one in known.roles),
        words=WORDS,
    )


def _status(known: Known) -> str:
    record = known.record
    if record is None:
        return "not deployed here"
    if known.taken_back:
        return f"FAILED: taken back by {known.taken_back.by} ({known.taken_back.name})"
    return {"pass": "PASSED", "unfinished": "NOT FINISHED"}.get(record.verdict, f"FAILED: {record.reason}")


def _rollback(known: Known) -> str:
    took = [one.rollback_s for one in (known.taken_back, known.record) if one and one.rollback_s is not None]
    return f"YES, it took {took[0]:g} s" if took else "YES" if known.taken_back else "NO"


def _issues(known: Known) -> list[str]:
    """Checks that do not hold, gates that said no, and what was taken back."""
    found = [f"{one['item']}: {one['sentence']}" for one in known.items if one["passed"] is False]
    record, back = known.record, known.taken_back
    if record and record.verdict != "pass":
        found.append(f"deploy {record.name}: {record.reason or record.verdict}")
    if back:
        found.append(f"{back.name}: {back.reason or back.override or 'taken back'}")
    return found

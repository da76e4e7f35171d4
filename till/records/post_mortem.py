"""The post-mortem of a release that was taken back, begun from the record of its deploy or rollback.

It lies where incidents do, in the guide's form: what the record knows is filled in, the rest is left for people. It is
brought up to date only while nobody has changed Till's part of it; what people wrote below the line always stays.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till.paths import CHECKOUT
from till.records import incidents, markdown
from till.records.deploy_record import NAME, Record, Step
from till.records.deploy_traffic import totals
from till_host.notifications.incident_document import PEOPLE

TEMPLATE = CHECKOUT / "templates" / "post_mortem.md.j2"
SEAL = re.compile(r"<!-- Till wrote what stands above, SHA-256 ([0-9a-f]{64}). Changed, Till leaves all as it is. -->")


def write(record: Record) -> Path:
    """Begin the document of a record, or bring it up to date where nobody changed Till's part; its path."""
    return markdown.write(incidents.folder(record.stack) / f"{record.name}.md", render(record), again)


def written(stack: str) -> list[dict[str, Any]]:
    """The documents of a stack, oldest first: id, when it began (s since the epoch), its path."""
    found = [(NAME.fullmatch(path.stem), path) for path in incidents.folder(stack).glob("*.md")]
    told = [{"id": path.stem, "began": _began(name[2]), "document": str(path)} for name, path in found if name]
    return sorted(told, key=lambda one: (one["began"], one["id"]))


def again(there: str, text: str) -> str:
    """A document that is written anew: unchanged where a person changed Till's part, or removed the line. Pure."""
    above, line, theirs = there.partition(PEOPLE)
    sealed = SEAL.search(above)
    if not line or sealed is None or _digest(above[: sealed.start()]) != sealed[1] or above[sealed.end() :].strip():
        return there
    return text.partition(PEOPLE)[0] + line + theirs


def render(record: Record) -> str:
    """The document, in Markdown. Pure but for reading the template."""
    deploy = record.kind == "deploy"
    fate, serves = _fate(record)
    text = markdown.render(
        TEMPLATE,
        record=record,
        bad=(record.new_version if deploy else record.old_version) or "the release before",
        bad_sha256=record.new_sha256 if deploy else record.old_sha256,
        fate=fate,
        serves=serves or "not known",
        date=_day(record, 0.0),
        issue=record.reason or "______",
        duration=_duration(record),
        affected=_affected(record),
        by=record.by,
        override=record.override,
        rows=timeline(record),
        totals=list(totals(record.traffic).items()),
        seal="@seal@",
    )
    # The seal's own line comes last above the line: nothing that a record holds can stand there.
    above, _, below = text.rpartition("@seal@")
    seal = f"<!-- Till wrote what stands above, SHA-256 {_digest(above)}. Changed, Till leaves all as it is. -->"
    return above + seal + below


def timeline(record: Record) -> list[dict[str, str]]:
    """What the record knows, oldest first: the time in UTC, a sentence. Pure."""
    rows = [(0.0, f"{record.kind.capitalize()} began: {record.old_version or 'nothing'} to {record.new_version}")]
    rows += [(one.at_s, f"{one.percent:g} % of the traffic goes to {record.new_version}") for one in record.steps]
    said: dict[tuple[str, str], str] = {}
    for gate in record.gates:
        # A gate that is asked each second is told when it says something else.
        if said.get((gate.phase, gate.gate)) != gate.verdict:
            what = "Issue detected" if gate.verdict == "fail" and "fail" not in said.values() else "Gate"
            rows.append((gate.at_s, f"{what}: {gate.phase}, {gate.gate}: {gate.verdict}: {gate.sentence}"))
        said[gate.phase, gate.gate] = gate.verdict
    for version in totals(record.traffic):
        failed = [one.at_s for one in record.traffic if one.version == version and one.errors]
        if failed:
            rows.append((min(failed), f"First request that {version} failed"))
    back = taken_back(record)
    if back is not None:
        if record.rollback_s is not None:
            rows.append((max(0.0, back.at_s - record.rollback_s), "Rollback initiated"))
        rows.append((back.at_s, f"Rollback completed: {record.old_version or 'the release before'} serves"))
    if record.duration_s is not None:
        rows.append((record.duration_s, f"{record.kind.capitalize()} ended: {record.verdict}"))
    return [{"at": _day(record, at_s), "what": what} for at_s, what in sorted(rows, key=lambda row: row[0])]


def taken_back(record: Record) -> Step | None:
    """The step that took all traffic from a deploy's release again; None where there was none. Pure."""
    given = False
    for step in record.steps:
        if given and step.percent == 0:
            return step
        given = given or step.percent > 0
    return None


def _fate(record: Record) -> tuple[str, str | None]:
    """What became of the release that a document is about, and which version serves, None where that is not known."""
    moved = any(step.percent > 0 for step in record.steps)
    if record.verdict == "pass":
        return ("was taken back" if record.kind == "rollback" else "was let in"), record.new_version
    if record.verdict == "unfinished":
        return f"in a {record.kind} that was not finished", None
    if record.kind == "rollback":
        return "was not taken back", None if moved else record.old_version
    if not moved:
        return "was not let in", record.old_version
    return ("was taken back", record.old_version) if taken_back(record) else ("failed", None)


def _duration(record: Record) -> str:
    given = next((step.at_s for step in record.steps if step.percent > 0), None)
    back = taken_back(record)
    if record.kind == "rollback":
        took = record.rollback_s if record.rollback_s is not None else record.duration_s
        return "______" if took is None else f"______ (the rollback itself: {took:g} s)"
    if given is None:
        return "0 s: no traffic reached the release"
    if back is None:
        return "______ (the record does not tell that all traffic was taken back)"
    return f"{back.at_s - given:.1f} s, from the first traffic to the release until the last"


def _affected(record: Record) -> str:
    if record.kind == "deploy" and not any(step.percent > 0 for step in record.steps):
        return "none: no traffic reached the release"
    most = max((step.percent for step in record.steps), default=0.0)
    shared = f"at most {most:g} % at a time were sent to the release; " if record.kind == "deploy" else ""
    return f"______ ({shared}see the impact below)"


def _began(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()


def _day(record: Record, at_s: float) -> str:
    return datetime.fromtimestamp(record.at + at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""What happened in an incident, put together from the events of any hosts. Pure, and of the standard library alone:
hosts run this file, too (role notify), so that the document is there without the operator's machine.

An event is as `spool` describes it. An incident begins with a site that is lost and ends when every lost
site is well again: {id, began, detected, ended (None: not yet), lost, events, measured}, times in s since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Event = Mapping[str, Any]
Incident = dict[str, Any]
# Below this line in a document people write, and it stays as it is.
PEOPLE = "<!-- What stands below this line is yours: Till never changes it. -->"
# Names may leave a site a moment before the loss is told.
LEAD_S = 15.0


def merged(events: Iterable[Event]) -> list[Event]:
    """Oldest first; what several hosts saw alike stands there once, as the first of them saw it."""
    kept: list[Event] = []
    said: dict[str, str] = {}
    seen: set[str] = set()
    for event in sorted(events, key=lambda one: float(one["at"])):
        subject = str(event.get("subject", ""))
        if event["id"] in seen or (subject and said.get(subject) == event["state"]):
            continue
        seen.add(str(event["id"]))
        if subject:
            said[subject] = str(event["state"])
        kept.append(event)
    return kept


def incidents(events: Iterable[Event]) -> list[Incident]:
    """Every incident of these events, oldest first."""
    every = merged(events)
    found: list[Incident] = []
    lost: set[str] = set()
    for event in every:
        subject = str(event.get("subject", ""))
        if event["kind"] == "start":
            if not lost:
                found.append(_begun(event))
            lost.add(subject)
            found[-1]["lost"] = sorted({*found[-1]["lost"], subject.partition(":")[2]})
        elif event["kind"] == "heal" and subject in lost:
            lost.discard(subject)
            found[-1]["ended"] = None if lost else float(event["at"])
    for one in found:
        until = one["ended"] if one["ended"] is not None else float("inf")
        one["events"] = [event for event in every if one["began"] - LEAD_S <= float(event["at"]) <= until]
        one["measured"] = _measured(one)
    return found


def _begun(start: Event) -> Incident:
    began = min(float(start["facts"].get("since", start["at"])), float(start["at"]))
    site = str(start["subject"]).partition(":")[2]
    name = f"{datetime.fromtimestamp(began, UTC):%Y%m%dT%H%M%SZ}-{site}"
    return {"id": name, "began": began, "detected": float(start["at"]), "ended": None, "lost": [], "events": []}


def _measured(incident: Incident) -> dict[str, float]:
    """Seconds from the first sign until it was told, the leader moved, names led elsewhere, payments were possible
    again, and all was well; what did not happen is not there."""
    firsts = {
        "promoted_s": ("subject", "leader"),
        "dns_switch_s": ("subject", "names"),
        "verified_s": ("kind", "verified"),
    }
    found = {"detected_s": incident["detected"] - incident["began"]}
    for name, (key, value) in firsts.items():
        at = next((_since(event) for event in incident["events"] if event[key] == value), None)
        if at is not None:
            found[name] = at - incident["began"]
    if incident["ended"] is not None:
        found["healed_s"] = incident["ended"] - incident["began"]
    return {name: round(max(0.0, seconds), 1) for name, seconds in found.items()}


def _since(event: Event) -> float:
    """When it was so first; it is told after it has held for a while."""
    return float(event["facts"].get("since", event["at"]))


def timeline(incident: Incident, journal: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, str]]:
    """Rows of the timeline, oldest first: time in UTC, who saw or did it, a sentence. `journal`: an operator's."""
    until = incident["ended"] if incident["ended"] is not None else float("inf")
    rows = [(float(event["at"]), str(event["host"]), _sentence(event)) for event in incident["events"]]
    for entry in journal:
        at = datetime.fromisoformat(str(entry["at"])).timestamp()
        if incident["began"] - LEAD_S <= at <= until:
            ended = "done" if entry["ok"] else f"failed: {entry.get('reason', 'no reason is known')}"
            rows.append((at, str(entry["by"]), f"till {entry['verb']}: {ended}"))
    return [{"at": clock(at), "who": who, "what": _cell(what)} for at, who, what in sorted(rows)]


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def render(template: str, stack: str, incident: Incident, journal: Iterable[Mapping[str, Any]] = ()) -> str:
    """The document, in Markdown."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - Markdown for people, no page
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    ended = incident["ended"]
    return environment.from_string(template).render(
        stack=stack,
        incident=incident,
        rows=timeline(incident, journal),
        began=clock(incident["began"]),
        ended=None if ended is None else clock(ended),
        stopped=any(event["kind"] == "stopped" for event in incident["events"]),
        people=PEOPLE,
    )


def again(written: str, rendered: str) -> str:
    """A document that is written anew: what is known now above the line, what people wrote below it."""
    _, line, theirs = written.partition(PEOPLE)
    ours, _, _ = rendered.partition(PEOPLE)
    return f"{ours}{line}{theirs}" if line else rendered


def _sentence(event: Event) -> str:
    first = str(event["text"]).splitlines()[0] if event["text"] else str(event["title"])
    return first if event.get("tell", True) else f"{first} (not told)"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

"""Incidents of a stack: put together from every host that answers and the operator's journal, kept as documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.contract import Host
from till.changes import journal
from till.errors import HostUnreachable, TillError, UsageError
from till.fan_out import at_once
from till.hosts import programs
from till.hosts.session import Session
from till.paths import CHECKOUT, STATE, journal_file
from till.policy import thresholds
from till_host.notifications import incident_document

TEMPLATE = CHECKOUT / "templates" / "incident.md.j2"


def folder(stack: str) -> Path:
    return STATE / "incidents" / stack


def found(session: Session) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every incident, oldest first, and hosts that told nothing with the reason; HostUnreachable when none did."""
    stack = session.contract.stack

    def kept(host: Host) -> list[dict[str, Any]] | str:
        try:
            events: list[dict[str, Any]] = programs.run_host_program(
                session, host.name, "notify", "events",
                timeout_s=thresholds()["incident"]["deadline_s"], next_command=f"till status {stack}",
            )  # fmt: skip
        except TillError as reason:
            return reason.message
        return events

    told = at_once(kept, session.contract.hosts)
    silent = {host: answer for host, answer in told.items() if isinstance(answer, str)}
    if len(silent) == len(told):
        raise HostUnreachable(f"no host tells its events: {silent}", f"till status {stack}")
    events = [event for answer in told.values() if not isinstance(answer, str) for event in answer]
    return incident_document.incidents(events), silent


def write(stack: str, incident: dict[str, Any]) -> Path:
    """Bring a document up to what is known; what people wrote into it stays."""
    path = folder(stack) / f"{incident['id']}.md"
    entries = journal.read(journal_file(stack))
    text = incident_document.render(TEMPLATE.read_text(), stack, incident, entries)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(incident_document.again(path.read_text(), text) if path.exists() else text)
    return path


def chosen(stack: str, every: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The incident of that id, by default the newest; UsageError when there is none."""
    fitting = [one for one in every if name in ("", one["id"])]
    if not fitting:
        raise UsageError(f"stack {stack} has no incident{f' {name}' if name else ''}", f"till incident list {stack}")
    return fitting[-1]

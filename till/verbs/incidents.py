"""Contents page of the verb incident: what hosts remember of lost sites, and the post-mortems of releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from till.hosts.session import open_session
from till.progress import Progress
from till.records import incidents, post_mortem
from till.stacks import stack


def list_incidents(name: str) -> dict[str, Any]:
    """Every incident that hosts remember, each with its document; the post-mortems of releases; silent hosts."""
    with open_session(stack.contract(name)) as session:
        every, silent = incidents.found(session)
    told = [_told(one, incidents.write(name, one)) for one in every]
    return {"incidents": told, "post_mortems": post_mortem.written(name), "unheard": silent}


def read_incident(name: str, asked: str, progress: Progress) -> dict[str, Any]:
    """One of them by its id, by default ("") the newest, its document brought up to what is known."""
    begun = post_mortem.written(name)
    named = next((one for one in begun if one["id"] == asked), None)
    if named is not None:
        # Nothing of it is on hosts, and it may be read while none answers.
        return named
    with open_session(stack.contract(name)) as session:
        every, silent = incidents.found(session)
    for host, reason in silent.items():
        progress.say(f"{host} told nothing: {reason}")
    one = incidents.chosen(name, sorted([*every, *begun], key=lambda known: known["began"]), asked)
    if "document" in one:
        return one
    return {**_told(one, incidents.write(name, one)), "events": one["events"], "unheard": silent}


def _told(incident: dict[str, Any], path: Path) -> dict[str, Any]:
    kept = {key: incident[key] for key in ("id", "began", "ended", "lost", "measured")}
    return {**kept, "document": str(path)}

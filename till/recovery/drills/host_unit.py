"""A drill as a unit of the host with the repository: a drill by hand and one by the calendar are one thing there."""

from __future__ import annotations

import json
import time
from typing import Any

from infra.contract import Role
from till.errors import TillError
from till.hosts import programs
from till.hosts.session import Session
from till.progress import Progress

RESULTS = "/var/lib/till/drills"
POLL_S = 1.0
RUNNING = ("activating", "active", "deactivating", "reloading")
UNITS = "'till-drill-*.service'"


def host(session: Session) -> str:
    return programs.host_with(session.contract, Role.BACKUP_REPOSITORY).name


def refuse_second(session: Session) -> None:
    """Raises TillError while any drill is under way: two would measure each other."""
    where, stack = host(session), session.contract.stack
    told = session.ssh(where, f"systemctl list-units --plain --no-legend --state={','.join(RUNNING)} {UNITS}")
    programs.require_reached(where, told.returncode, told.stderr, f"till status {stack}")
    if told.returncode == 0 and told.stdout.strip():
        raise TillError(f"{told.stdout.split()[0]} is under way on {where}", f"till drill list {stack}")


def results(session: Session, kind: str) -> list[dict[str, Any]]:
    """Every result of a kind ("restore", "failover") that the host keeps, oldest first; those of timers, too."""
    where = host(session)
    done = session.ssh(where, f"sh -c 'cat {RESULTS}/{kind}-*.json 2>/dev/null || true'")
    programs.require_reached(where, done.returncode, done.stderr, f"till status {session.contract.stack}")
    decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:].strip()
    return sorted(found, key=lambda one: float(one["at"]))


def follow(session: Session, unit: str, kind: str, deadline_s: float, progress: Progress) -> None:
    """Say each phase as it begins, until the unit has ended; a lost connection is tried again until the deadline."""
    where, deadline, said = host(session), time.monotonic() + deadline_s, ""
    asked = f"systemctl show --property=ActiveState --value {unit}; cat /run/till-drill-{kind}.json 2>/dev/null || true"
    while time.monotonic() < deadline:
        told = session.ssh(where, f"sh -c '{asked}'")
        state, _, status = told.stdout.partition("\n")
        phase = json.loads(status)["phase"] if status.strip().startswith("{") else ""
        if phase and phase != said:
            said = phase
            progress.say(f"drill: {phase}")
        if told.returncode == 0 and state not in RUNNING:
            return
        time.sleep(POLL_S)
    raise TillError(f"the drill on {where} goes on after its deadline", f"ssh {where} systemctl status {unit}")


def newest(session: Session, unit: str, kind: str, before: set[str]) -> dict[str, Any]:
    """The result that was not there before; raises TillError when the drill left none."""
    new = [result for result in results(session, kind) if result["name"] not in before]
    if not new:
        where = host(session)
        raise TillError(f"the drill on {where} left no result", f"ssh {where} journalctl -u {unit} -n 50")
    return new[-1]


def stop(session: Session, unit: str) -> None:
    """End it; the unit cleans up after itself."""
    session.ssh(host(session), f"systemctl stop {unit}", timeout_s=120)

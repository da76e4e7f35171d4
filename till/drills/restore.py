"""The restore drill: started on the host with the repository, followed, and brought home as a report.

It runs there as the same unit that the timer starts, so a drill by hand and one by the calendar are one thing.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from infra.contract import Role
from till import drill_report, host_program
from till.errors import GateSaidNo, HostUnreachable, Interrupted, TillError
from till.progress import Progress
from till.thresholds import thresholds
from till.workplace import UNREACHED, Workplace

UNITS = {1: "till-drill-restore.service", 2: "till-drill-restore-offsite.service"}
RESULTS = "/var/lib/till/drills"
STATUS = "/run/till-drill-restore.json"
POLL_S = 1.0
RUNNING = ("activating", "active", "deactivating", "reloading")


def run(workplace: Workplace, repository: int, progress: Progress) -> dict[str, Any]:
    """Hold a drill. Returns its result with the report's path; GateSaidNo carries the result of one that failed."""
    host, stack, unit = _host(workplace), workplace.contract.stack, UNITS[repository]
    if any(_state(workplace, host, other) in RUNNING for other in UNITS.values()):
        raise TillError(f"a restore drill is under way on {host}", f"till drill list {stack}")
    before = {result["name"] for result in results(workplace)}
    started = workplace.ssh(host, f"systemctl start --no-block {unit}")
    if started.returncode != 0:
        raise TillError(f"{host}: {unit} does not start: {started.stderr.strip()[-600:]}", f"till provision {stack}")
    try:
        _follow(workplace, host, unit, progress)
    except KeyboardInterrupt:
        workplace.ssh(host, f"systemctl stop {unit}", timeout_s=60)
        raise Interrupted("the drill was interrupted and has been cleaned up", f"till drill restore {stack}") from None
    new = [result for result in results(workplace) if result["name"] not in before]
    if not new:
        raise TillError(f"the drill on {host} left no result", f"ssh {host} journalctl -u {unit} -n 50")
    return judged(stack, new[-1])


def judged(stack: str, result: dict[str, Any]) -> dict[str, Any]:
    """The result with its report written; GateSaidNo when it did not prove the backups or broke a limit."""
    limits = thresholds()["drill_restore"]
    reasons = [] if result["ok"] else [str(result.get("reason", "it ended without a reason"))]
    for key, limit in (("rpo_s", limits["rpo_max_s"]), ("rto_s", limits["rto_max_s"])):
        if result.get(key, 0) > limit:
            reasons.append(f"{key} is {result[key]}, the guide allows {limit}")
    told = {**result, "ok": not reasons, "limits": limits}
    told["report"] = str(drill_report.write(stack, told))
    if reasons:
        raise GateSaidNo(f"the restore drill failed: {'; '.join(reasons)}", f"less {told['report']}", told)
    return told


def results(workplace: Workplace) -> list[dict[str, Any]]:
    """Every result that the host keeps, oldest first; those of timers, too."""
    host = _host(workplace)
    done = workplace.ssh(host, f"sh -c 'cat {RESULTS}/restore-*.json 2>/dev/null || true'")
    if done.returncode == UNREACHED:
        raise HostUnreachable(f"host {host} can't be reached by SSH: {done.stderr.strip()[-600:]}")
    decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:].strip()
    return sorted(found, key=lambda one: float(one["at"]))


def reports(stack: str) -> list[Path]:
    """The reports written on this machine."""
    return drill_report.written(stack)


def _host(workplace: Workplace) -> str:
    return host_program.host_with(workplace.contract, Role.BACKUP_REPOSITORY).name


def _state(workplace: Workplace, host: str, unit: str) -> str:
    return workplace.ssh(host, f"systemctl show --property=ActiveState --value {unit}").stdout.strip()


def _follow(workplace: Workplace, host: str, unit: str, progress: Progress) -> None:
    """Say each phase as it begins, until the unit has ended; a lost connection is tried again until the deadline."""
    deadline = time.monotonic() + thresholds()["drill_restore"]["deadline_s"]
    said = ""
    while time.monotonic() < deadline:
        told = workplace.ssh(
            host, f"sh -c 'systemctl show --property=ActiveState --value {unit}; cat {STATUS} 2>/dev/null || true'"
        )
        state, _, status = told.stdout.partition("\n")
        phase = json.loads(status)["phase"] if status.strip().startswith("{") else ""
        if phase and phase != said:
            said = phase
            progress.say(f"drill: {phase}")
        if told.returncode == 0 and state not in RUNNING:
            return
        time.sleep(POLL_S)
    raise TillError(f"the drill on {host} goes on after its deadline", f"ssh {host} systemctl status {unit}")

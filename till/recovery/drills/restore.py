"""The restore drill: started on the host with the repository, followed, and brought home as a report."""

from __future__ import annotations

from typing import Any

from till.errors import GateSaidNo, Interrupted, TillError
from till.hosts import programs
from till.hosts.session import Session
from till.policy import thresholds
from till.progress import Progress
from till.records import drill_page
from till.recovery.drills import host_unit

KIND = "restore"
UNITS = {1: "till-drill-restore.service", 2: "till-drill-restore-offsite.service"}


def run(session: Session, repository: int, progress: Progress) -> dict[str, Any]:
    """Hold a drill. Returns its result with the report's path; GateSaidNo carries the result of one that failed."""
    host, stack, name = host_unit.host(session), session.contract.stack, UNITS[repository]
    host_unit.refuse_second(session)
    before = {result["name"] for result in host_unit.results(session, KIND)}
    started = session.ssh(host, f"systemctl start --no-block {name}")
    programs.require_reached(host, started.returncode, started.stderr, f"till status {stack}")
    if started.returncode != 0:
        raise TillError(f"{host}: {name} does not start: {started.stderr.strip()[-600:]}", f"till provision {stack}")
    try:
        host_unit.follow(session, name, KIND, thresholds()["drill_restore"]["deadline_s"], progress)
    except KeyboardInterrupt:
        host_unit.stop(session, name)
        raise Interrupted("the drill was interrupted and has been cleaned up", f"till drill restore {stack}") from None
    return report_result(stack, host_unit.newest(session, name, KIND, before))


def report_result(stack: str, result: dict[str, Any]) -> dict[str, Any]:
    """The result with its report written; GateSaidNo when it did not prove the backups or broke a limit."""
    limits = thresholds()["drill_restore"]
    reasons = [] if result["ok"] else [str(result.get("reason", "it ended without a reason"))]
    for key, limit in (("rpo_s", limits["rpo_max_s"]), ("rto_s", limits["rto_max_s"])):
        if result.get(key, 0) > limit:
            reasons.append(f"{key} is {result[key]}, the guide allows {limit}")
    told = {**result, "ok": not reasons, "limits": limits}
    told["report"] = str(drill_page.write(stack, told))
    if reasons:
        raise GateSaidNo(f"the restore drill failed: {'; '.join(reasons)}", f"less {told['report']}", told)
    return told

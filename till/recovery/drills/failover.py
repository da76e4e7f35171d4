"""The failover drill: refused where it would hurt, started on the host that holds it, brought home as a report."""

from __future__ import annotations

import getpass
import socket
from typing import Any

from infra.contract import Contract
from till.errors import GateSaidNo, HostUnreachable, Interrupted, Refused, TillError, UsageError
from till.hosts import programs
from till.hosts.session import Session
from till.policy import host_policy, thresholds
from till.progress import Progress
from till.records import drill_page
from till.recovery import failover, promotion_target
from till.recovery.drills import host_unit

KIND = "failover"
UNIT = "till-drill-failover.service"
PROGRAM = "drill-failover"
# What the host says of a request that it refuses, and the error of it.
REFUSALS: dict[str, type[TillError]] = {"unwell": GateSaidNo, "kind": UsageError, "window": Refused, "running": Refused}


def refuse_unconfirmed(contract: Contract, fault: str, override: str, confirmation: str) -> None:
    """Raises UsageError for a fault that is none, Refused unless the stack's name was typed where payments are real."""
    kinds = sorted(host_policy()["failover_drill_fault_s"])
    if fault not in kinds:
        raise UsageError(
            f"{fault!r} is no fault of a drill", f"till drill failover {contract.stack} --fault {'|'.join(kinds)}"
        )
    if contract.environment == "production" and confirmation != contract.stack:
        reason = f" --override '{override}'" if override else ""
        raise Refused(
            f"{fault} breaks the site of {contract.stack} that takes payments",
            f"till drill failover {contract.stack} --fault {fault}{reason} --confirm {contract.stack}",
        )


def refuse_unwell(session: Session, progress: Progress) -> None:
    """Raises as a planned move to another site would, and where a host or an edge is away."""
    contract, seen = session.contract, failover.look(session)
    again = f"till status {contract.stack}"
    for host, reason in seen.unreached.items():
        raise HostUnreachable(f"host {host} can't be reached: {reason}; nothing is broken further", again)
    sites = promotion_target.sites(contract)
    leads = promotion_target.site_of(contract, seen.leader) if seen.leader else ""
    others = [site for site in sites if site != leads]
    if not others:
        raise UsageError(f"stack {contract.stack} has no second site that could lead", again)
    if leads and leads not in sites:
        raise GateSaidNo(f"the database leads on {seen.leader}, where no edge is", f"till failback {contract.stack}")
    seen, _ = failover.target(session, seen, others[0], progress)
    sick = {edge: told for edge, told in seen.health.items() if told != 200}
    for edge, told in sick.items():
        raise GateSaidNo(f"edge {edge} answers {told or 'nothing'}; nothing is broken further", again)


def run(session: Session, fault: str, override: str, progress: Progress) -> dict[str, Any]:
    """Hold a drill. Returns its result with the report's path.

    Raises GateSaidNo with the result of one that failed or broke a limit, and without one where something was not
    well; Refused outside of the window and while another drill is under way.
    """
    host, stack = host_unit.host(session), session.contract.stack
    refuse_unwell(session, progress)
    host_unit.refuse_second(session)
    before = {result["name"] for result in host_unit.results(session, KIND)}
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    told = programs.run_host_program(
        session, host, PROGRAM, "request", fault, "--override", override, "--by", by,
        timeout_s=thresholds()["drill_failover"]["request_deadline_s"], next_command=f"till status {stack}",
    )  # fmt: skip
    if "refused" in told:
        again = f"till drill failover {stack} --fault {fault} --override REASON" if told["why"] == "window" else ""
        raise REFUSALS[told["why"]](f"no drill is held: {told['refused']}", again or f"till status {stack}")
    try:
        host_unit.follow(session, UNIT, KIND, thresholds()["drill_failover"]["deadline_s"], progress)
    except KeyboardInterrupt:
        host_unit.stop(session, UNIT)
        raise Interrupted(
            "the drill was interrupted; every fault is healed, or heals itself within the minute",
            f"till status {stack}, and where the leader moved: till failback {stack}",
        ) from None
    return report_result(stack, host_unit.newest(session, UNIT, KIND, before))


def report_result(stack: str, result: dict[str, Any]) -> dict[str, Any]:
    """The result with its report written, without what only the plot needs; GateSaidNo when it is not ok.

    The host judged it by the limits of thresholds.yml, so that alerts go by the same.
    """
    path = str(drill_page.write(stack, result))
    told = {key: value for key, value in result.items() if key not in drill_page.PLOTTED} | {"report": path}
    if not result["ok"]:
        reason = result.get("reason", "it ended without a reason")
        raise GateSaidNo(f"the failover drill failed: {reason}", f"less {path}", told)
    return told

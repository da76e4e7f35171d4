"""Contents page of the drills: held, listed, each one in the journal once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from till.changes import fleet_lock, journal, journal_head
from till.changes.local_lock import hold_local_lock, hold_records_lock
from till.errors import GateSaidNo
from till.hosts.session import Session, open_session
from till.paths import journal_file, lock_file, records_lock_file
from till.progress import Progress
from till.records import drill_page
from till.recovery.drills import failover, host_unit, restore
from till.stacks import stack

# Of a drill, what a journal entry keeps.
FACTS = (
    "name", "drill", "repository", "rpo_s", "rto_s", "restore_bytes_per_s", "disk_bytes_per_s", "verified_tables",
    "verified_rows", "backup", "fault", "site", "detected_s", "dns_switch_s", "promoted_s", "failed_requests",
    "acknowledged_payments", "lost_payments", "duplicated_payments", "failback_s", "override", "reason",
)  # fmt: skip
JUDGED: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    restore.KIND: restore.report_result,
    failover.KIND: failover.report_result,
}


def hold_restore(name: str, repository: int, progress: Progress) -> dict[str, Any]:
    """Restore the newest backup beside the running database, compare, measure, clean up, report."""
    with open_session(stack.contract(name)) as session:
        try:
            return restore.run(session, repository, progress)
        finally:
            _note(name, session, restore.KIND)


def hold_failover(name: str, fault: str, override: str, confirmation: str, progress: Progress) -> dict[str, Any]:
    """Break the site that leads under a load of payments, measure, reconcile, heal, fail back, report.

    Nothing else changes the stack meanwhile: its lock is held until the drill is over.
    """
    contract = stack.contract(name)
    failover.refuse_unconfirmed(contract, fault, override, confirmation)
    verb = f"drill failover --fault {fault}"
    with (
        open_session(contract) as session,
        hold_local_lock(lock_file(name), verb),
        fleet_lock.hold_fleet_lock(session, verb),
    ):
        try:
            return failover.run(session, fault, override, progress)
        finally:
            _note(name, session, failover.KIND)


def list_drills(name: str) -> dict[str, Any]:
    """Every drill that the stack's host remembers; those of its timers reach journal and reports by this."""
    with open_session(stack.contract(name)) as session:
        results = [one for kind in JUDGED for one in _note(name, session, kind)]
    told = [{key: value for key, value in one.items() if key not in drill_page.PLOTTED} for one in results]
    told.sort(key=lambda one: float(one["at"]))
    return {"drills": told, "reports": [str(path) for path in drill_page.written(name)]}


def _note(name: str, session: Session, kind: str) -> list[dict[str, Any]]:
    """One journal entry and one report for each drill that has none yet; all results of the kind."""
    path, results = journal_file(name), host_unit.results(session, kind)
    with hold_records_lock(records_lock_file(name)):
        noted = {entry.get("name") for entry in journal.read(path) if entry["verb"] == f"drill {kind}"}
        fresh = [result for result in results if result["name"] not in noted]
        for result in fresh:
            try:
                judged = JUDGED[kind](name, result)
            except GateSaidNo as reason:
                judged = reason.facts
            facts = {key: judged[key] for key in FACTS if key in judged}
            journal.append(path, f"drill {kind}", bool(judged["ok"]), {**facts, "held_at": judged["at"]})
    if fresh:
        # Where this fails, the next change says so.
        journal_head.push(session)
    return results

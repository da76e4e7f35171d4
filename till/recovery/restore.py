"""Restore a stack's database: to the newest transaction or to a moment, beside the old one, proven before it counts."""

from __future__ import annotations

import time
from typing import Any

from infra.contract import Contract, Host, Role
from till.checks import purchase
from till.errors import Refused, TillError, UsageError
from till.fan_out import at_once
from till.hosts import play, programs
from till.hosts.session import Session
from till.observe import replication, status
from till.platforms.vps import slots
from till.progress import Progress
from till.recovery import backup

# What the host's own state of a restore is worth to whoever asked for it.
TOLD = (
    "to", "repository", "label", "recovered_to", "timeline", "restore_bytes", "fetch_s", "prove_s", "verified_tables",
    "verified_rows",
)  # fmt: skip


def leader(session: Session) -> str:
    """The host whose database leads and runs; "" when none does."""
    unreached = status.unreachable(session.contract)
    members = replication.read_replication_status(session, unreached)["members"]
    leads = (one for one in members if one["role"] == "Leader" and one["state"] == "running")
    return next((one["name"] for one in leads if one["name"] not in unreached), "")


def read_progress(session: Session) -> dict[str, dict[str, Any]]:
    """How far restores are, by host: one's state, and `stopped_for`, the host that its copy was stopped for.

    A host that is gone has nothing to go on with.
    """

    def state(host: Host) -> dict[str, Any]:
        try:
            found: dict[str, Any] = programs.run_host_program(
                session, host.name, "restore", "state", timeout_s=30, next_command="till status"
            )
        except TillError:
            return {}
        return found

    asked = [host for host in session.contract.hosts if Role.DATABASE in host.roles]
    return {name: found for name, found in at_once(state, asked).items() if found}


def unfinished(progress: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those of `read_progress` where a restore was begun and not ended. Pure."""
    return {name: found for name, found in progress.items() if "phase" in found}


def target_host(contract: Contract, asked: str, leads: str, progress: dict[str, dict[str, Any]]) -> str:
    """The host to restore on. Pure.

    Where one was begun, else the one asked for, else the leader's, else the one that copies were stopped for by a
    restore that was cut off before it had begun there (it led), else the first.
    """
    begun = unfinished(progress)
    stopped_for = next((found["stopped_for"] for found in progress.values() if found.get("stopped_for")), "")
    able = [host.name for host in contract.hosts if Role.DATABASE in host.roles]
    if asked and asked not in able:
        raise UsageError(f"host {asked!r} has no database in stack {contract.stack}", f"--host {' or '.join(able)}")
    other = next((name for name in begun if name != (asked or name)), "")
    if other:
        raise Refused(
            f"a restore to {begun[other]['to']} is unfinished on {other} ({begun[other]['phase']})",
            command(contract, begun[other]["to"], other, begun[other].get("repository", 1)),
        )
    return next(iter(begun), "") or asked or leads or (stopped_for if stopped_for in able else able[0])


def refuse_unconfirmed(contract: Contract, to: str, repository: int, leads: str, confirmation: str) -> None:
    """Refused unless the stack's name was typed, where a live database would be replaced."""
    if leads and confirmation != contract.stack:
        raise Refused(
            f"the database of {contract.stack} is alive on {leads}; what was written after {to} would be gone",
            command(contract, to, "", repository),
        )


def command(contract: Contract, to: str, host: str, repository: int) -> str:
    """The command that goes on with a restore, as it was begun."""
    place = f" --host {host}" if host else ""
    source = f" --repository {repository}" if repository > 1 else ""
    return f"till restore {contract.stack} --to '{to}'{place}{source} --confirm {contract.stack}"


def run(session: Session, to: str, repository: int, host: str, leads: str, progress: Progress) -> dict[str, Any]:
    """Restore; returns what was restored and rto_s, from the first step until something was bought again.

    Where no release is in service yet (all hosts are new) nothing is bought, and `order` is None.
    """
    contract, began = session.contract, time.monotonic()
    again = command(contract, to, host, repository)
    variables = {"restore_host": host, "restore_to": to, "restore_repository": repository, "restore_leader": leads}
    played = play.run(session, "restore.yml", progress, variables)
    played.raise_for_failure(contract, again)
    state: dict[str, Any] = programs.run_host_program(
        session, host, "restore", "state", timeout_s=30, next_command=f"till status {contract.stack}"
    )
    result = {**{key: state[key] for key in TOLD if key in state}, "host": host, "restored": True}
    kept = f"the replaced one is kept on {host} as {state.get('replaced')}"
    result["order"] = _bought(session, progress, kept, again, result)
    result["rto_s"] = round(time.monotonic() - began, 1)
    # From here on the road back is a backup of the new timeline, also in a repository that was lost with the database.
    try:
        repository_host = programs.host_with(contract, Role.BACKUP_REPOSITORY).name
        programs.run_host_program(session, repository_host, "backup", "stanza", timeout_s=180, next_command=again)
        # The one elsewhere gets its own by the timer: a store that is away must not keep a restore from its end.
        result["backup"] = backup.now(session, "", 1, progress)["label"]
    except TillError as reason:
        raise TillError(
            f"the restored database leads, but has no backup yet: {reason.message}; {kept}",
            f"till provision {contract.stack} --tags backup_repository, then {again}",
            result,
        ) from None
    programs.run_host_program(session, host, "restore", "finish", timeout_s=600, next_command=again)
    return result


def _bought(
    session: Session, progress: Progress, kept: str, again: str, result: dict[str, Any]
) -> dict[str, Any] | None:
    """Something bought through the restored database; None where no release is in service yet, so nothing can be."""
    if not any(one.serving for one in slots.read(session).values()):
        return None
    try:
        return purchase.run(session.contract, progress)
    except TillError as reason:
        raise TillError(
            f"the restored database leads, but nothing can be bought: {reason.message}; {kept}", again, result
        ) from None

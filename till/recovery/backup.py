"""Backups of a stack: made, listed and read through, on the host that holds the repository."""

from __future__ import annotations

from typing import Any

from infra.contract import Role
from till.errors import GateSaidNo
from till.hosts import programs
from till.hosts.session import Session
from till.policy import thresholds
from till.progress import Progress

WATCH = "journalctl -u till-backup -n 50"


def _repository(session: Session) -> str:
    return programs.host_with(session.contract, Role.BACKUP_REPOSITORY).name


def now(session: Session, kind: str, repository: int, progress: Progress) -> dict[str, Any]:
    """Make the backup that is due, or one of a type (full, diff, incr), in one repository or (0) in all.

    Returns type, label, bytes and seconds; `offsite` has those of the second repository.
    """
    host = _repository(session)
    progress.say(f"{host} makes a backup")
    made: dict[str, Any] = programs.run_host_program_detached(
        session, host, "till-backup-now", "backup", "now", *(["--type", kind] if kind else []), *_one(repository),
        timeout_s=thresholds()["backup"]["deadline_s"], next_command=f"ssh {host} {WATCH}",
    )  # fmt: skip
    return made


def facts(session: Session) -> dict[str, Any]:
    """What the repository holds, and `faults`: sentences for what is not as policy wants it."""
    found: dict[str, Any] = programs.run_host_program(
        session, _repository(session), "backup", "facts",
        timeout_s=thresholds()["backup"]["facts_deadline_s"], next_command=f"till status {session.contract.stack}",
    )  # fmt: skip
    return found


def _one(repository: int) -> list[str]:
    return ["--repository", str(repository)] if repository else []


def verify(session: Session, repository: int, progress: Progress) -> dict[str, Any]:
    """Read every backup and segment and look for gaps; GateSaidNo when the facts are not as policy wants them."""
    host, stack = _repository(session), session.contract.stack
    progress.say(f"{host} reads the whole repository")
    read: dict[str, Any] = programs.run_host_program_detached(
        session, host, "till-backup-verify-now", "backup", "verify", *_one(repository),
        timeout_s=thresholds()["backup"]["deadline_s"], next_command="less docs/runbooks/backup.md",
    )  # fmt: skip
    found = facts(session)
    if found["faults"]:
        raise GateSaidNo(
            f"the backups of {stack} are not as policy wants them: {'; '.join(found['faults'])}",
            "docs/runbooks/backup.md",
            {**read, "faults": found["faults"]},
        )
    return {**read, "age_s": found["age_s"], "backups": len(found["backups"]), "faults": []}

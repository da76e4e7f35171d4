"""The config backup, now: the stack's state goes to the host that keeps the backups, then every host saves."""

from __future__ import annotations

import json
import shlex
from typing import Any

from till.errors import TillError
from till.hosts import play, programs
from till.hosts.session import Session
from till.paths import CHECKOUT
from till.progress import Progress
from till.stacks import stack

RESULT = "/var/lib/till/config-backup.json"
SHOWN = ("at", "ok", "snapshot_id", "files", "bytes", "duration_s")


def push(session: Session, progress: Progress) -> dict[str, Any]:
    """Back up the configuration of every host and the state of the stack.

    Returns config_backup: host -> at, ok, snapshot_id, files, bytes, duration_s. The stack's secrets, the contract
    among them, stay encrypted by its passphrase, which is not part of any backup. Raises TillError with the host's
    own sentence when one could not save, HostUnreachable when one could not be asked.
    """
    contract = session.contract
    state = session.folder / "stack.json"
    state.touch(mode=0o600)
    state.write_text(stack.exported(contract.stack))
    variables = {
        "backup_config_files": {
            "stack.json": str(state),
            f"Pulumi.{contract.stack}.yaml": str(CHECKOUT / f"Pulumi.{contract.stack}.yaml"),
        }
    }
    result = play.run(session, "backup_config.yml", progress, variables)
    result.raise_for_failure(contract, "docs/runbooks/config-backup.md")
    return {"config_backup": {host.name: _told(session, host.name) for host in contract.hosts}}


def _told(session: Session, host: str) -> dict[str, Any]:
    answer = session.ssh(host, shlex.join(["cat", RESULT]))
    programs.require_reached(host, answer.returncode, answer.stderr, f"till status {session.contract.stack}")
    if answer.returncode != 0:
        raise TillError(f"host {host} tells nothing of its config backup: {answer.stderr.strip()[-300:]}")
    facts = json.loads(answer.stdout)
    return {name: facts.get(name) for name in SHOWN}

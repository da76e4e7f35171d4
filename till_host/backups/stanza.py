"""Which database a repository knows, and whether it may be told of this one."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from till_host.backups.pgbackrest import info, pgbackrest, psql
from till_host.backups.repository import OFFSITE
from till_host.faults import Fault

# Of `pgbackrest info`: nothing there, or no information yet.
UNKNOWN = (1, 2, 3)
# A repository elsewhere has answered before.
SEEN_ELSEWHERE = Path("/var/lib/till/offsite-seen")
LOCKED = 50
LOCK_DEADLINE_S = 30


def ensure(rules: dict[str, Any], here: Path) -> dict[str, Any]:
    """Make the database known to each repository that knows none.

    A repository that knows another database is refused: its backups may be all that is left of it. Only one on this
    host (`here`) that holds no backup at all begins anew. One elsewhere that was well before and is away now keeps
    nobody from going on; the watch tells of it. Returns `made`: whether something was changed.
    """
    running, made = identity(), False
    if OFFSITE not in rules["repositories"]:
        SEEN_ELSEWHERE.unlink(missing_ok=True)
    for repository in rules["repositories"]:
        try:
            found = info(rules["stanza"], repository)
        except Fault as reason:
            if repository == 1 or not SEEN_ELSEWHERE.exists():
                raise
            print(f"backup: {reason}", file=sys.stderr)
            continue
        if judge(found, running, repository) == "begin anew":
            for kind in ("archive", "backup"):
                shutil.rmtree(here / kind / rules["stanza"], ignore_errors=True)
            made = True
        made = made or (found["status"]["code"] in UNKNOWN and not found.get("db"))
    if made:
        create(rules["stanza"])
    if OFFSITE in rules["repositories"]:
        SEEN_ELSEWHERE.touch()
    return {"made": made}


def judge(found: dict[str, Any], running: str, repository: int) -> str:
    """What is to be done about a repository: "" or "begin anew"; Fault where it keeps another database. Pure."""
    known = str(found["db"][-1]["system-id"]) if found.get("db") else ""
    if not known or not running or known == running:
        return ""
    if repository == 1 and not found.get("backup"):
        return "begin anew"
    option = "" if repository == 1 else f" --repository {repository}"
    raise Fault(
        f"repository {repository} keeps {len(found.get('backup', []))} backups of another database (system id {known},"
        f" this one is {running}). After a loss of all hosts: till restore STACK --to latest{option}."
        " For a fresh start: another path in till:backupOffsite, or move these backups away"
    )


def identity() -> str:
    """The running database's own id; "" where this host has no copy of it."""
    try:
        return psql("SELECT system_identifier FROM pg_control_system()")
    except Fault:
        return ""


def create(stanza: str) -> None:
    """`stanza-create`, in all repositories; a copy that just starts here asks for WAL, and holds the lock a moment."""
    deadline = time.monotonic() + LOCK_DEADLINE_S
    while True:
        try:
            pgbackrest(stanza, "stanza-create", timeout_s=120)
        except Fault as reason:
            if reason.code != LOCKED or time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return

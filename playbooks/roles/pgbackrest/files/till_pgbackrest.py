"""pgBackRest and psql as the programs of this host run them: as the database's user, with a deadline."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/till/backup.json")
AS_POSTGRES = ("runuser", "-u", "postgres", "--")
SAID_LIMIT = 1200


class Fault(Exception):
    """What can't be done, and why; `code` is pgBackRest's exit code, 0 where it was not asked."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def settings() -> dict[str, Any]:
    """The policy that the role wrote (SETTINGS)."""
    found: dict[str, Any] = json.loads(SETTINGS.read_text())
    return found


def pgbackrest(stanza: str, command: str, *options: str, timeout_s: float = 60) -> str:
    """Run a command of pgBackRest for the stanza; its stdout. Raises Fault with its own words."""
    argv = [*AS_POSTGRES, "pgbackrest", f"--stanza={stanza}", *options, command]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False, cwd="/")
    except subprocess.TimeoutExpired:
        raise Fault(f"pgbackrest {command} took longer than {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise Fault(f"pgbackrest {command}: {errors(done.stdout + done.stderr)}", done.returncode)
    return done.stdout


def errors(output: str) -> str:
    """pgBackRest's own words for what went wrong, without its dates and process numbers. Pure."""
    lines = output.splitlines()
    start = next((number for number, line in enumerate(lines) if "ERROR:" in line), None)
    told = lines[start:] if start is not None else [line for line in lines if "WARN:" in line] or lines[-3:]
    ended = next((number for number, line in enumerate(told) if "command end" in line), len(told))
    words = [line.split("ERROR: ", 1)[-1].split("WARN: ", 1)[-1].strip() for line in told[:ended]]
    return " ".join(word for word in words if word)[:SAID_LIMIT] or "no reason given"


def info(stanza: str, timeout_s: float = 60) -> dict[str, Any]:
    """`pgbackrest info` of the stanza; raises Fault when the repository does not answer."""
    found = json.loads(pgbackrest(stanza, "info", "--output=json", "--log-level-console=error", timeout_s=timeout_s))
    if not found:
        raise Fault(f"the repository knows no stanza {stanza}")
    return dict(found[0])


def archive_files(stanza: str, archive_id: str) -> list[str]:
    """Names of the files in the repository's archive, each below the folder of its 16 digits."""
    options = ("--recurse", "--output=json", "--log-level-console=error")
    argv = [*AS_POSTGRES, "pgbackrest", f"--stanza={stanza}", *options, "repo-ls", f"archive/{stanza}/{archive_id}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    if done.returncode != 0:
        raise Fault(f"pgbackrest repo-ls: {errors(done.stdout + done.stderr)}", done.returncode)
    return list(json.loads(done.stdout))


def psql(query: str, *, options: tuple[str, ...] = (), database: str = "postgres", timeout_s: float = 20) -> str:
    """Ask the database on this host through its socket; columns are separated by `|`. Raises Fault."""
    argv = [*AS_POSTGRES, "psql", "-XAtq", "--set", "ON_ERROR_STOP=1", *options, "--dbname", database, "-c", query]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False, cwd="/")
    except subprocess.TimeoutExpired:
        raise Fault(f"the database took longer than {timeout_s:.0f} s to answer") from None
    if done.returncode != 0:
        raise Fault(f"the database: {done.stderr.strip()[:SAID_LIMIT]}")
    return done.stdout.rstrip("\n")

"""pgBackRest and psql as the programs of this host run them: as the database's user, with a deadline."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from till_host.backups import wal
from till_host.faults import Fault

SETTINGS = Path("/etc/till/backup.json")
# Not runuser: its session would stand in the journal four times a minute.
AS_POSTGRES = (
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--init-groups",
    "--",
    "env",
    "HOME=/var/lib/postgresql",
)
SAID_LIMIT = 1200
INFO_TIMEOUT_S = 20
# The code of "other" in what `pgbackrest info` says of a repository.
OTHER = 99
# The exit code of a command that asked for a file that is not there.
MISSING = 55


def settings() -> dict[str, Any]:
    """The policy that the role wrote (SETTINGS)."""
    found: dict[str, Any] = json.loads(SETTINGS.read_text())
    return found


def refuse_unknown(rules: dict[str, Any], repository: int) -> None:
    """Raise Fault for a repository that this stack does not have."""
    if repository not in rules["repositories"]:
        raise Fault(f"this stack has no repository {repository}: till:backupOffsite names the second one")


def pgbackrest(stanza: str, command: str, *options: str, repository: int = 0, timeout_s: float = 60) -> str:
    """Run a command of pgBackRest for the stanza, in one repository or (0) in all; its stdout.

    Raises Fault with its own words.
    """
    chosen = [f"--repo={repository}"] if repository else []
    argv = [*AS_POSTGRES, "pgbackrest", command, f"--stanza={stanza}", *chosen, *options]
    try:
        # What a wrong key decrypts is no text.
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        who = f"repository {repository} does not answer: " if repository else ""
        raise Fault(f"{who}pgbackrest {command} took longer than {timeout_s:.0f} s") from None
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


def info(stanza: str, repository: int = 1, timeout_s: float = INFO_TIMEOUT_S) -> dict[str, Any]:
    """`pgbackrest info` of the stanza in a repository; raises Fault when that does not answer."""
    options = ("--output=json", "--log-level-console=error")
    told = pgbackrest(stanza, "info", *options, repository=repository, timeout_s=timeout_s)
    # Not strict: of a repository under another key it tells noise, control characters included.
    found = json.loads(told, strict=False)
    # It ends with 0 also where it could read nothing.
    unread = [one["status"]["message"] for one in (found[0]["repo"] if found else []) if one["status"]["code"] == OTHER]
    if unread:
        raise Fault(unreadable(unread[0]))
    if not found:
        raise Fault(f"the repository knows no stanza {stanza}")
    return dict(found[0])


def unreadable(message: str) -> str:
    """Why the repository can't be read, from pgBackRest's word for it. Pure."""
    first = message.splitlines()[0]
    if any(sign in first for sign in ("FormatError", "CryptoError")):
        # What another key decrypts is noise, or nothing; the noise stays unsaid.
        return f"the repository can't be read: this host's key does not decrypt it ({first})"
    return f"the repository can't be read: {' '.join(message.split())[:SAID_LIMIT]}"


def archive_files(stanza: str, archive_id: str, repository: int = 1) -> list[str]:
    """Names of the files in the repository's archive, each below the folder of its 16 digits."""
    options = ("--recurse", "--output=json", "--log-level-console=error")
    told = pgbackrest(stanza, "repo-ls", f"archive/{stanza}/{archive_id}", *options, repository=repository)
    return list(json.loads(told))


def repository_file(stanza: str, name: str, repository: int = 1) -> str:
    """The text of a file of the repository, decrypted."""
    return pgbackrest(stanza, "repo-get", name, "--log-level-console=error", repository=repository)


def archive_gaps(stanza: str, found: dict[str, Any], segment_bytes: int, repository: int = 1) -> list[str]:
    """The holes in the archive that `found` (see `info`) tells of, as "first to last", or "name" for one segment.

    What has expired is no hole.
    """
    archives = found.get("archive") or []
    if not archives:
        return []
    archive_id = archives[-1]["id"]
    there = wal.archived(archive_files(stanza, archive_id, repository), segment_bytes)
    newest = max((one.timeline for one in there), default=1)
    histories = {}
    # A repository that was begun on a later timeline has no history of it. Where no backup is older, none is needed.
    if any(one.timeline < newest for one in there):
        try:
            name = f"archive/{stanza}/{archive_id}/{newest:08X}.history"
            histories[newest] = wal.switches(repository_file(stanza, name, repository), segment_bytes)
        except Fault as reason:
            starts = [int(one["archive"]["start"][:8], 16) for one in found.get("backup", [])]
            if reason.code != MISSING or min(starts, default=newest) < newest:
                raise
            there = {one for one in there if one.timeline == newest}
    names = [
        (wal.name(gap.first, segment_bytes), wal.name(gap.last, segment_bytes)) for gap in wal.gaps(there, histories)
    ]
    return [first if first == last else f"{first} to {last}" for first, last in names]


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

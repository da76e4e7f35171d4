"""The backup of this host's configuration, as /etc/till/config-backup.json says.

    config-backup run       save, then remove what the retention says; the timer's verb
    config-backup first     run, unless there is a good backup already; says "saved" or "kept"
    config-backup check     is everything in the repository whole?
    config-backup init      make an empty repository in place of one that is gone

`run` makes the repository at the first backup only: one that is gone later is an error, not a new beginning.
Facts of the last run stand in /var/lib/till/config-backup.json, and as metrics beside node_exporter.
Exit codes: 0 done, 1 failed, 2 bad usage. Prints one JSON object, or one sentence on stderr.
A second argument is another settings file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till_host import files
from till_host.backups.restic import Gone, Repository
from till_host.faults import Fault

SETTINGS = "/etc/till/config-backup.json"
KEPT = ("last_success_at", "repository_id", "last_check_at", "last_check_ok")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def noted(settings: dict[str, Any]) -> dict[str, Any]:
    """The facts of the last run; empty before the first one."""
    path = Path(settings["result"])
    return dict(json.loads(path.read_text())) if path.exists() else {}


def note(settings: dict[str, Any], facts: dict[str, Any]) -> None:
    """Keep the facts and tell them as metrics. A good run of long ago is not forgotten by one that failed."""
    files.replace(Path(settings["result"]), json.dumps(facts, indent=2) + "\n")
    metrics: dict[str, float | None] = {
        "till_config_backup_last_ok": float(facts["ok"]),
        "till_config_backup_last_success_timestamp_seconds": seconds(facts.get("last_success_at")),
        "till_config_backup_bytes": facts.get("bytes"),
        "till_config_backup_duration_seconds": facts.get("duration_s"),
        "till_config_backup_last_check_timestamp_seconds": seconds(facts.get("last_check_at")),
        "till_config_backup_last_check_ok": None if "last_check_ok" not in facts else float(facts["last_check_ok"]),
    }
    target = Path(settings["metrics"])
    if target.parent.is_dir():
        lines = [f"{name} {value:.15g}" for name, value in metrics.items() if value is not None]
        files.replace(target, "\n".join(lines) + "\n")


def seconds(at: str | None) -> float | None:
    return datetime.fromisoformat(at).timestamp() if at else None


def dump(settings: dict[str, Any]) -> list[str]:
    """Write what the commands tell; returns what went wrong, a sentence each."""
    folder = Path(settings["dumps_folder"])
    folder.mkdir(mode=0o700, exist_ok=True)
    wrong = []
    for one in settings["dumps"]:
        try:
            done = subprocess.run(one["command"], capture_output=True, text=True, timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired) as reason:
            wrong.append(f"{one['file']}: {type(reason).__name__} of {one['command'][0]}")
            continue
        if done.returncode != 0 or not done.stdout:
            wrong.append(f"{one['file']}: {' '.join(one['command'][:3])} failed: {done.stderr.strip()[-300:]}")
        else:
            files.replace(folder / one["file"], done.stdout, 0o600)
    return wrong


def opened(settings: dict[str, Any], before: dict[str, Any]) -> tuple[Repository, str]:
    """The repository and its id; made when this host never had one."""
    repository = Repository(settings)
    try:
        identity = repository.identity()
    except Gone:
        if before.get("repository_id"):
            raise
        repository.init()
        identity = repository.identity()
    if before.get("repository_id") not in (None, identity):
        raise Fault(f"{settings['repository']} is another repository than before: config-backup init says it may be")
    return repository, identity


def save(settings: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """One backup; returns its facts. Raises Fault after it saved what it could, when something was not there."""
    wrong = dump(settings)
    repository, identity = opened(settings, before)
    # Locks of a run that was killed; this host has the repository for itself.
    repository.call("unlock")
    there = [path for path in settings["paths"] if Path(path).exists()]
    wrong += [f"{path} is missing" for path in settings["paths"] if path not in there]
    excluded = [part for pattern in settings["exclude"] for part in ("--exclude", pattern)]
    target = ["--host", settings["host"], "--tag", "till-config", *excluded, *there, settings["dumps_folder"]]
    done = repository.call("backup", "--json", *target, accepted=(0, 3))
    if done.returncode != 0:
        wrong.append(f"not all could be read: {done.stderr.strip()[-300:]}")
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    summary = next(line for line in told if line.get("message_type") == "summary")
    kept = [part for name, value in settings["keep"].items() for part in (f"--keep-{name}", str(value))]
    repository.call("forget", "--host", settings["host"], "--group-by", "host", "--prune", *kept)
    facts = {
        "snapshot_id": summary["snapshot_id"],
        "files": summary["total_files_processed"],
        "bytes": summary["total_bytes_processed"],
        "added_bytes": summary["data_added"],
        "repository_id": identity,
    }
    if wrong:
        raise Fault(f"snapshot {facts['snapshot_id']} is not whole: {'; '.join(wrong)}; {settings['next']}")
    return facts


def run(settings: dict[str, Any]) -> dict[str, Any]:
    before, began, at = noted(settings), time.monotonic(), now()
    facts: dict[str, Any] = {"at": at, "ok": False, **{name: before[name] for name in KEPT if name in before}}
    try:
        facts |= save(settings, before)
        facts |= {"ok": True, "last_success_at": at}
    except Fault as reason:
        facts["error"] = str(reason)
        raise
    finally:
        facts["duration_s"] = round(time.monotonic() - began, 1)
        note(settings, facts)
    return facts


def first(settings: dict[str, Any]) -> dict[str, Any]:
    before = noted(settings)
    return {"done": "kept", **before} if before.get("ok") else {"done": "saved", **run(settings)}


def check(settings: dict[str, Any]) -> dict[str, Any]:
    facts = {"ok": False, **noted(settings), "last_check_at": now(), "last_check_ok": False}
    try:
        Repository(settings).call("check", f"--read-data-subset={settings['check_data']}")
        facts["last_check_ok"] = True
    finally:
        note(settings, facts)
    return facts


def init(settings: dict[str, Any]) -> dict[str, Any]:
    repository = Repository(settings)
    try:
        repository.identity()
    except Gone:
        repository.init()
    facts = {"ok": False, **noted(settings), "repository_id": repository.identity()}
    note(settings, facts)
    return facts


@contextlib.contextmanager
def alone(settings: dict[str, Any]) -> Iterator[None]:
    with Path(settings["lock"]).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    verbs = {"run": run, "first": first, "check": check, "init": init}
    if not arguments or arguments[0] not in verbs or len(arguments) > 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        settings = json.loads(Path(arguments[1] if len(arguments) == 2 else SETTINGS).read_text())
        with alone(settings):
            print(json.dumps(verbs[arguments[0]](settings)))
    except (Fault, OSError) as reason:
        print(f"config-backup: {reason}", file=sys.stderr)
        return 1
    return 0

"""Backups on the host that holds the repository.

    backup stanza                        make the database known to every repository; refuse one that knows another
    backup now [--type full|diff|incr]   make the backup that is due (or that type); prints its facts as JSON
    backup facts                         what is there, and what is not as policy wants it, as JSON
    backup verify                        read the whole repository: checksums of every backup and segment; gaps in WAL
    backup watch                         facts into metrics; exit code 1 and sentences when something is wrong

`--repository N` takes one repository: 1 on this host, 2 elsewhere. Without it `now` and `verify` take all there are.

Exit codes: 0 done and well, 1 a fault or something wrong (said on stderr).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from till_host import files, textfile_metrics
from till_host.backups import plan
from till_host.backups import stanza as stanzas
from till_host.backups.pgbackrest import info, pgbackrest, refuse_unknown, settings
from till_host.backups.repository import NAMES, OFFSITE, REPOSITORY, alone, contents, known
from till_host.faults import Fault

POLICY = Path("/etc/till/backup-repository.json")
LAST = Path("/var/lib/till/backup.json")
FULL_BYTES = 64 << 20
NO_REPLICA = "unable to find standby"


def policy() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(POLICY.read_text())
    return {**settings(), **found}


def now(rules: dict[str, Any], kind: str | None, repositories: list[int]) -> dict[str, Any]:
    """Make a backup in each of the repositories; one that fails does not keep the others from theirs.

    Returns the facts of the first, and `offsite` with those of the second where it was made, too.
    """
    began = time.time()
    made: dict[int, dict[str, Any]] = {}
    failed: dict[int, Fault] = {}
    with alone():
        for repository in repositories:
            try:
                made[repository] = make(rules, kind, repository)
            except Fault as reason:
                failed[repository] = reason
        reasons = "; ".join(f"{NAMES[repository]}{reason}" for repository, reason in failed.items())
        first = next(iter(made.values()), {})
        note(
            ok=not failed, kind=first.get("type", kind or "due"), began=began, reason=reasons,
            label=first.get("label", ""),
        )  # fmt: skip
    if failed:
        raise Fault(reasons, next(iter(failed.values())).code)
    return {**first, **({"offsite": made[OFFSITE]} if len(made) > 1 else {})}


def make(rules: dict[str, Any], kind: str | None, repository: int) -> dict[str, Any]:
    """Make a backup in a repository; from the leader where no replica is left."""
    began, stanza = time.time(), rules["stanza"]
    chosen = kind or plan.due(info(stanza, repository), rules, began)
    how = {"repository": repository, "timeout_s": rules["backup_timeout_s"]}
    try:
        try:
            pgbackrest(stanza, "backup", f"--type={chosen}", **how)
        except Fault as reason:
            if NO_REPLICA not in str(reason):
                raise
            pgbackrest(stanza, "backup", f"--type={chosen}", "--no-backup-standby", **how)
    except Fault as reason:
        raise Fault(f"{reason}{full() if repository == 1 else ''}", reason.code) from None
    one = plan.usable(info(stanza, repository))[-1]
    return {
        "type": one["type"],
        "label": one["label"],
        "database_bytes": one["info"]["size"],
        "repository_bytes": one["info"]["repository"]["delta"],
        "backup_s": round(time.time() - began, 1),
    }


def full() -> str:
    """A word on the repository's disk where it has no room; pgBackRest says only that it could not write."""
    disk = os.statvfs(REPOSITORY)
    free = disk.f_bavail * disk.f_frsize
    return f"; the repository's disk is full ({free >> 20} MB free)" if free < FULL_BYTES else ""


def note(*, ok: bool, kind: str, began: float, reason: str, label: str = "") -> None:
    """What the last backup came to, for metrics and for people."""
    told = {
        "ok": ok,
        "type": kind,
        "at": began,
        "duration_s": round(time.time() - began, 1),
        "reason": reason,
        "label": label,
    }
    files.replace(LAST, json.dumps(told) + "\n")


def verify(rules: dict[str, Any], repositories: list[int]) -> dict[str, Any]:
    """Read every file of the repositories; raises Fault naming what is corrupt or missing."""
    began, verified = time.time(), 0
    wrong: list[str] = []
    for repository in repositories:
        try:
            said = pgbackrest(
                rules["stanza"], "verify", "--output=text", "--verbose",
                repository=repository, timeout_s=rules["backup_timeout_s"],
            )  # fmt: skip
            found = contents(rules, repository)
            sentences = [*plan.read_through(said), *(f"WAL {gap} is missing" for gap in found["gaps"])]
            verified += len(found["backups"])
        except Fault as reason:
            sentences = [str(reason)]
        wrong += [f"{NAMES[repository]}{sentence}" for sentence in sentences]
    if wrong:
        raise Fault("; ".join(wrong))
    return {"verified_backups": verified, "verify_s": round(time.time() - began, 1)}


def watch(rules: dict[str, Any]) -> list[str]:
    """Facts into metrics; returns the sentences of what is wrong."""
    try:
        facts = known(rules)
    except Fault as reason:
        facts = {"faults": [str(reason)], "newest": {}}
    last: dict[str, Any] = json.loads(LAST.read_text()) if LAST.exists() else {"ok": True, "reason": ""}
    completed = "till_backup_last_completed_timestamp_seconds"
    newest: dict[int, dict[str, float]] = {1: facts["newest"]}
    if "offsite" in facts:
        newest[OFFSITE] = facts["offsite"]["newest"]
    metrics: list[textfile_metrics.Metric] = [
        (completed, {"type": kind, "repository": str(repository)}, stop)
        for repository, stops in newest.items()
        for kind, stop in stops.items()
        if stop
    ]
    metrics += [("till_backup_last_ok", {}, last["ok"]), ("till_backup_faults", {}, len(facts["faults"]))]
    if "free_ratio" in facts:
        metrics += [
            ("till_backup_repository_free_ratio", {}, facts["free_ratio"]),
            ("till_backup_archive_gaps", {}, len(facts["gaps"])),
        ]
    if facts.get("clock_offset_s") is not None:
        metrics.append(("till_clock_offset_seconds", {}, facts["clock_offset_s"]))
    textfile_metrics.write("till-backup.prom", metrics)
    return [*facts["faults"], *([] if last["ok"] else [f"the last backup failed: {last['reason']}"])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("stanza", "now", "facts", "verify", "watch"))
    parser.add_argument("--type", choices=plan.TYPES)
    parser.add_argument("--repository", type=int)
    arguments = parser.parse_args()
    try:
        rules = policy()
        chosen = [arguments.repository] if arguments.repository else rules["repositories"]
        for repository in chosen:
            refuse_unknown(rules, repository)
        if arguments.command == "stanza":
            print(json.dumps(stanzas.ensure(rules, REPOSITORY)))
        elif arguments.command == "now":
            print(json.dumps(now(rules, arguments.type, chosen)))
        elif arguments.command == "facts":
            print(json.dumps(known(rules)))
        elif arguments.command == "verify":
            print(json.dumps(verify(rules, chosen)))
        elif wrong := watch(rules):
            raise Fault("; ".join(wrong))
    except Fault as reason:
        print(f"backup: {reason}", file=sys.stderr)
        return 1
    return 0

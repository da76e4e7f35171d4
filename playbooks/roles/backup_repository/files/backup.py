#!/usr/bin/python3
"""Backups on the host that holds the repository.

    backup now [--type full|diff|incr]   make the backup that is due (or that type); prints its facts as JSON
    backup facts                         what is there, and what is not as policy wants it, as JSON
    backup verify                        read the whole repository: checksums of every backup and segment; gaps in WAL
    backup watch                         facts into metrics; exit code 1 and sentences when something is wrong

Exit codes: 0 done and well, 1 a fault or something wrong (said on stderr).
"""

from __future__ import annotations

import argparse
import email.utils
import fcntl
import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import till_backup_plan as plan
import till_metrics
from till_pgbackrest import Fault, archive_gaps, info, pgbackrest, settings

REPOSITORY = Path("/var/lib/pgbackrest")
POLICY = Path("/etc/till/backup-repository.json")
LAST = Path("/var/lib/till/backup.json")
LOCK = Path("/run/till-backup.lock")
FULL_BYTES = 64 << 20
NO_REPLICA = "unable to find standby"


def policy() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(POLICY.read_text())
    return {**settings(), **found}


def leader(rules: dict[str, Any]) -> dict[str, Any] | None:
    """The leading database by Patroni's own word: name, clock_offset_s (our clock less its); None: nobody leads."""
    trust = ssl.create_default_context(cafile="/etc/till/pki/ca.pem")
    for member in rules["databases"]:
        asked = time.time()
        try:
            with urllib.request.urlopen(f"https://{member['name']}:8008/primary", timeout=3, context=trust) as answer:
                told = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except OSError:
            continue
        # The header has whole seconds.
        return {**member, "clock_offset_s": round((asked + time.time()) / 2 - told - 0.5, 1)}
    return None


def known(rules: dict[str, Any]) -> dict[str, Any]:
    """The facts of till_backup_plan with the disk, the clock and the archive's gaps, and the faults they amount to."""
    found = info(rules["stanza"])
    disk = os.statvfs(REPOSITORY)
    leads = leader(rules)
    facts = {
        **plan.facts(found, time.time()),
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "free_ratio": round(disk.f_bavail / disk.f_blocks, 4),
        "leader": leads and leads["name"],
        "clock_offset_s": leads and leads["clock_offset_s"],
        "gaps": archive_gaps(rules["stanza"], found, rules["segment_mb"] << 20),
    }
    return {**facts, "faults": plan.faults(facts, rules)}


def now(rules: dict[str, Any], kind: str | None) -> dict[str, Any]:
    """Make a backup; from the leader where no replica is left. The repository is looked at before and after."""
    began = time.time()
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fault("a backup is under way: journalctl -u till-backup -f") from None
        chosen = kind or plan.due(info(rules["stanza"]), rules, began)
        options = [f"--type={chosen}"]
        try:
            try:
                pgbackrest(rules["stanza"], "backup", *options, timeout_s=rules["backup_timeout_s"])
            except Fault as reason:
                if NO_REPLICA not in str(reason):
                    raise
                pgbackrest(
                    rules["stanza"], "backup", *options, "--no-backup-standby", timeout_s=rules["backup_timeout_s"]
                )
        except Fault as reason:
            told = Fault(f"{reason}{full()}", reason.code)
            note(ok=False, kind=chosen, began=began, reason=str(told))
            raise told from None
        made = plan.usable(info(rules["stanza"]))[-1]
        note(ok=True, kind=made["type"], began=began, reason="", label=made["label"])
    return {
        "type": made["type"],
        "label": made["label"],
        "database_bytes": made["info"]["size"],
        "repository_bytes": made["info"]["repository"]["delta"],
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
    till_metrics.replace(LAST, json.dumps(told) + "\n", 0o644)


def verify(rules: dict[str, Any]) -> dict[str, Any]:
    """Read every file of the repository; raises Fault naming what is corrupt or missing."""
    began = time.time()
    said = pgbackrest(rules["stanza"], "verify", "--output=text", "--verbose", timeout_s=rules["backup_timeout_s"])
    broken = plan.read_through(said)
    holes = [
        f"WAL {gap} is missing"
        for gap in archive_gaps(rules["stanza"], info(rules["stanza"]), rules["segment_mb"] << 20)
    ]
    if broken or holes:
        raise Fault("; ".join([*broken, *holes]))
    return {"verified_backups": len(plan.usable(info(rules["stanza"]))), "verify_s": round(time.time() - began, 1)}


def watch(rules: dict[str, Any]) -> list[str]:
    """Facts into metrics; returns the sentences of what is wrong."""
    try:
        facts = known(rules)
    except Fault as reason:
        facts = {"faults": [str(reason)], "newest": {}}
    last = json.loads(LAST.read_text()) if LAST.exists() else {"ok": True, "reason": ""}
    completed = "till_backup_last_completed_timestamp_seconds"
    metrics: list[till_metrics.Metric] = [
        (completed, {"type": kind}, stop) for kind, stop in facts["newest"].items() if stop
    ]
    metrics += [("till_backup_last_ok", {}, last["ok"]), ("till_backup_faults", {}, len(facts["faults"]))]
    if "free_ratio" in facts:
        metrics += [
            ("till_backup_repository_free_ratio", {}, facts["free_ratio"]),
            ("till_backup_archive_gaps", {}, len(facts["gaps"])),
        ]
    if facts.get("clock_offset_s") is not None:
        metrics.append(("till_clock_offset_seconds", {}, facts["clock_offset_s"]))
    till_metrics.write("till-backup.prom", metrics)
    return facts["faults"] + ([] if last["ok"] else [f"the last backup failed: {last['reason']}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("now", "facts", "verify", "watch"))
    parser.add_argument("--type", choices=plan.TYPES)
    arguments = parser.parse_args()
    try:
        rules = policy()
        if arguments.command == "now":
            print(json.dumps(now(rules, arguments.type)))
        elif arguments.command == "facts":
            print(json.dumps(known(rules)))
        elif arguments.command == "verify":
            print(json.dumps(verify(rules)))
        elif wrong := watch(rules):
            raise Fault("; ".join(wrong))
    except Fault as reason:
        print(f"backup: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

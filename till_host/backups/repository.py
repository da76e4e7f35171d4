"""What the repositories hold, and whether that is as policy wants it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from till_host import files, patroni
from till_host.backups import plan
from till_host.backups.pgbackrest import archive_gaps, info
from till_host.faults import Fault

REPOSITORY = Path("/var/lib/pgbackrest")
OFFSITE = 2
# What is said of a repository; the first is what people mean by it.
NAMES = {1: "", OFFSITE: "off-site: "}
LOCK = Path("/run/till-backup.lock")
# One by the calendar may run just when a restore ends or a person asks.
ALONE_WITHIN_S = 1800
LOOK_INTERVAL_S = 0.5


def leader(rules: dict[str, Any]) -> dict[str, Any] | None:
    """The leading database by Patroni's own word: name, clock_offset_s (our clock less its); None: nobody leads."""
    for member in rules["databases"]:
        asked = time.time()
        if found := patroni.find_leader([member["name"]]):
            # The header has whole seconds.
            return {**member, "clock_offset_s": round((asked + time.time()) / 2 - found[1] - 0.5, 1)}
    return None


def known(rules: dict[str, Any]) -> dict[str, Any]:
    """The facts of plan with the disk, the clock and the archive's gaps, and the faults they amount to.

    `offsite` holds those of the second repository where there is one; one that is away is a fault, not a failure.
    """
    disk = os.statvfs(REPOSITORY)
    leads = leader(rules)
    facts = {
        **contents(rules, 1),
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "free_ratio": round(disk.f_bavail / disk.f_blocks, 4),
        "leader": leads and leads["name"],
        "clock_offset_s": leads and leads["clock_offset_s"],
    }
    faults = plan.faults(facts, rules)
    if OFFSITE in rules["repositories"]:
        facts["offsite"] = offsite(rules)
        faults += [f"off-site: {sentence}" for sentence in facts["offsite"]["faults"]]
    return {**facts, "faults": faults}


def contents(rules: dict[str, Any], repository: int) -> dict[str, Any]:
    """What a repository holds, and the gaps in its WAL."""
    found = info(rules["stanza"], repository)
    gaps = archive_gaps(rules["stanza"], found, rules["segment_mb"] << 20, repository)
    return {**plan.facts(found, time.time()), "gaps": gaps}


def offsite(rules: dict[str, Any]) -> dict[str, Any]:
    """The facts of the second repository with its faults; of one that can't be read, only the reason."""
    try:
        # Its store has no end, and this host's clock was judged already.
        facts = {**contents(rules, OFFSITE), "free_ratio": None, "clock_offset_s": None}
    except Fault as reason:
        return {"faults": [str(reason)], "newest": {}, "backups": []}
    return {**facts, "faults": plan.faults(facts, rules)}


@contextmanager
def alone() -> Iterator[None]:
    """No other backup runs while the block does; one that is under way is waited for."""
    with LOCK.open("w") as lock:
        try:
            files.wait_for_lock(lock, ALONE_WITHIN_S, LOOK_INTERVAL_S)
        except TimeoutError:
            raise Fault("a backup is under way: journalctl -u 'till-backup*' -f") from None
        yield

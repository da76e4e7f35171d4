"""A restore drill: the newest backup and its WAL into a database beside the running one, compared with its source.

    drill-restore run [--repository 2]    the drill; what it measured goes to /var/lib/till/drills and to metrics
    drill-restore clean                   remove what a drill that was cut off left

A marked moment makes the comparison exact: with writers held off for an instant, a restore point is written and a
snapshot is taken; the snapshot is read at leisure while the shop goes on, and the restore goes to that point.

Exit codes: 0 proven, 1 not (said on stderr and in the result).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from till_host.backups import plan, wal
from till_host.backups.pgbackrest import info, refuse_unknown, settings
from till_host.backups.scratch import Scratch, fingerprint, tree_bytes, write_rate
from till_host.drills import directus
from till_host.drills import drill as drills
from till_host.drills import source as sources
from till_host.faults import Fault

POLICY = Path("/etc/till/drills.json")
SPACE_FACTOR = 1.3
# By repository: proving one says nothing of the other.
DRILL_NAMES = {1: "restore", 2: "restore-offsite"}


class Restore(drills.Drill):
    """A drill of the restore from one repository."""

    def __init__(self, rules: dict[str, Any], repository: int) -> None:
        super().__init__("restore", DRILL_NAMES[repository], repository=repository)
        self.rules, self.repository = rules, repository
        self.scratch = Scratch(Path(rules["folder"]), rules["bin_dir"], rules["port"])

    def run(self) -> None:
        """Every step; raises Fault at the first that does not hold."""
        rules, result = self.rules, self.result
        with self.phase("mark the source"):
            before = info(rules["stanza"], self.repository)
            label = plan.set_for(before, None)
            if label is None:
                raise Fault("there is no backup to restore: till backup now")
            backup = next(one for one in plan.usable(before) if one["label"] == label)
            self.room_for(backup["info"]["size"])
            source = sources.mark(rules, self.name)
            result |= {
                "source": source.host,
                "backup": label,
                "backup_age_s": round(self.began - backup["timestamp"]["stop"], 1),
            }
        with source:
            with self.phase("wait for the mark in the repository"):
                result["rpo_s"] = self.until_archived(source)
            with self.phase("read the source"):
                expected = {database: source.fingerprint(database) for database in source.databases}
        with self.phase("measure the disk"):
            self.scratch.prepare()
            result["disk_bytes_per_s"] = round(write_rate(self.scratch.folder, rules["disk_probe_mb"]))
        decided = time.time()
        with self.phase("fetch the backup"):
            fetching = time.time()
            target = ["--type=name", f"--target={self.name}", "--target-action=promote", "--archive-mode=off"]
            limits = (rules["processes"], rules["restore_timeout_s"])
            self.scratch.fetch(rules["stanza"], label, target, *limits, self.repository)
            fetched_s = time.time() - fetching
            result["restore_bytes"] = tree_bytes(self.scratch.data)
            result["restore_bytes_per_s"] = round(result["restore_bytes"] / fetched_s)
        with self.phase("replay the WAL"):
            road = "host directus directus 127.0.0.1/32 scram-sha-256" if rules["directus"] else ""
            self.scratch.start("off", road, "127.0.0.1" if rules["directus"] else "")
            self.scratch.until_recovered(rules["replay_timeout_s"])
        with self.phase("compare with the source"):
            self.compare(expected)
        with self.phase("check the structure"):
            self.scratch.check_structure(sorted(expected), rules["check_timeout_s"])
        result["rto_s"] = round(time.time() - decided, 2)
        if rules["directus"]:
            with self.phase("serve orders by a Directus of the drill's own"):
                result["directus"] = directus.serves(rules, expected)

    def room_for(self, database_bytes: int) -> None:
        self.scratch.folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.scratch.folder.parent).free
        needed = int(database_bytes * SPACE_FACTOR) + (self.rules["disk_probe_mb"] << 20)
        if free < needed:
            raise Fault(f"{self.scratch.folder.parent} has {free >> 20} MB free, the drill needs {needed >> 20} MB")

    def until_archived(self, source: sources.Source) -> float:
        """Seconds from the mark until its segment is in the repository: what would be lost if every copy went now."""
        rules = self.rules
        deadline = time.time() + rules["archive_deadline_s"]
        wanted = wal.parse(source.segment, source.segment_bytes)
        while True:
            archive = info(rules["stanza"], self.repository)["archive"]
            newest = wal.parse(archive[-1]["max"] or "", source.segment_bytes) if archive else None
            if newest and wanted and newest >= wanted:
                return round(time.time() - source.marked_at, 2)
            if time.time() > deadline:
                there = archive[-1]["max"] if archive else "nothing"
                raise Fault(
                    f"WAL {source.segment} is not in the repository {rules['archive_deadline_s']} s after the mark"
                    f" (newest there: {there}): the archiver of {source.host} is stuck"
                )
            time.sleep(0.25)

    def compare(self, expected: dict[str, dict[str, list[str]]]) -> None:
        """Every table of every database, row by row through its hash; Fault names the tables that differ."""
        differing, tables, rows = [], 0, 0
        for database, wanted in expected.items():
            with sources.connection(host=str(self.scratch.socket), port=self.rules["port"], dbname=database) as cursor:
                found = fingerprint(cursor)
            differing += [
                f"{database}: {name}"
                for name in sorted(wanted.keys() | found.keys())
                if wanted.get(name) != found.get(name)
            ]
            tables += len(found)
            rows += sum(int(values[0]) for values in found.values())
        self.result |= {"verified_tables": tables, "verified_rows": rows}
        if differing:
            raise Fault(f"the restored database differs from its source at the mark in {', '.join(differing)}")
        if not rows:
            raise Fault("the restored database holds no rows: nothing was proven")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "clean"))
    parser.add_argument("--repository", type=int, default=1)
    arguments = parser.parse_args()
    rules = {**settings(), **json.loads(POLICY.read_text())}
    try:
        refuse_unknown(rules, arguments.repository)
    except Fault as reason:
        print(f"drill-restore: {reason}", file=sys.stderr)
        return 1
    with drills.alone() as alone:
        if not alone:
            print("drill-restore: a drill is under way: journalctl -u 'till-drill-*' -f", file=sys.stderr)
            return 1
        Scratch(Path(rules["folder"]), rules["bin_dir"], rules["port"]).remove()
        drills.status("restore").unlink(missing_ok=True)
        if arguments.command == "clean":
            return 0
        drill = Restore(rules, arguments.repository)
        try:
            drill.run()
            drill.result["ok"] = True
        except Fault as reason:
            drill.result["reason"] = str(reason)
            print(f"drill-restore: {reason}", file=sys.stderr)
        except Exception as reason:
            drill.result["reason"] = f"{type(reason).__name__}: {reason}".splitlines()[0]
            raise
        finally:
            with drill.phase("clean up"):
                drill.scratch.remove()
            drill.keep(rules["results_kept"], ("rpo_s", "rto_s"))
            drill.status.unlink(missing_ok=True)
    return 0 if drill.result["ok"] else 1

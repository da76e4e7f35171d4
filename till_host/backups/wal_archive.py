"""The road of WAL from this host's database to the repository.

    wal-archive facts    how it is, as JSON
    wal-archive watch    the same into metrics; on a leader that took over, also hand to the archiver what it lacks
    wal-archive watch --every-s N    so again and again, in one process

A replica never archives, and PostgreSQL marks what it received as done. So a leader that died with segments in its
queue leaves a hole, which its successor fills from its own copy (postgres_wal_keep_mb holds it there).

Exit codes: 0 all is well, 1 something is wrong (said on stderr).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from till_host import files, textfile_metrics
from till_host.backups import wal as segments
from till_host.backups.pgbackrest import archive_files, info, psql, settings
from till_host.faults import Fault

STATE = Path("/var/lib/till/wal-archive.json")
# What pgbackrest-archive-push leaves of a repository that did not take the last segment.
FAILING = Path("/var/spool/pgbackrest")
QUESTION = """
SELECT pg_is_in_recovery(), current_setting('wal_segment_size'), timeline_id,
       coalesce(last_archived_wal, ''), coalesce(extract(epoch FROM now() - last_archived_time)::text, ''),
       coalesce(last_failed_wal, ''), coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
       (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
       (SELECT coalesce(extract(epoch FROM now() - min(modification)), 0) FROM pg_ls_archive_statusdir()
         WHERE name LIKE '%.ready'),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')
  FROM pg_stat_archiver, pg_control_checkpoint()
"""


def facts(policy: dict[str, Any]) -> dict[str, Any]:
    """leads, timeline, ready_files, ready_age_s (of the oldest that waits), failing, queue_ratio, last_archived_wal.

    `failing` is of the first repository, and of an archiver that reaches none; `offsite_failing` of the second one.
    """
    row = psql(QUESTION).split("|")
    segment_bytes, ready_files = int(row[9]), int(row[7])
    failing = row[6] == "t" and ready_files > 0
    here, offsite = ((FAILING / f"failing-{name}").exists() for name in ("here", "offsite"))
    return {
        "leads": row[0] == "f",
        "timeline": int(row[2]),
        "segment_bytes": segment_bytes,
        "last_archived_wal": row[3],
        "last_archived_age_s": float(row[4]) if row[4] else None,
        "last_failed_wal": row[5],
        "failing": failing and (here or not offsite),
        "offsite_failing": failing and offsite,
        "ready_files": ready_files,
        "ready_age_s": round(float(row[8]), 1),
        "queue_ratio": round(ready_files * segment_bytes / (policy["queue_max_mb"] << 20), 4),
    }


def fill(policy: dict[str, Any], known: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Hand what the repository lacks of the ancestor's WAL to the archiver.

    Returns the names handed over, and the names of those that nobody has any more.
    """
    segment_bytes, timeline = known["segment_bytes"], known["timeline"]
    wal = Path(policy["data_dir"]) / "pg_wal"
    switches = segments.switches((wal / f"{timeline:08X}.history").read_text(), segment_bytes)
    parent = max(switches, default=0)
    archive = info(policy["stanza"])["archive"]
    there = segments.archived(archive_files(policy["stanza"], archive[-1]["id"]), segment_bytes) if archive else set()
    # The archive as it will be once this leader's first segment is in it.
    road = {one for one in there if one.timeline < timeline} | {segments.Segment(timeline, switches.get(parent, 0))}
    lacking = [
        segments.Segment(gap.first.timeline, number)
        for gap in segments.gaps(road, {timeline: switches})
        for number in range(gap.first.number, gap.last.number + 1)
    ]
    handed, lost = [], []
    for segment in lacking:
        name = segments.name(segment, segment_bytes)
        if not (wal / name).exists():
            lost.append(name)
            continue
        status = wal / "archive_status"
        ready, done = status / f"{name}.ready", status / f"{name}.done"
        if done.exists():
            files.move(done, ready)
        elif not ready.exists():
            ready.touch(mode=0o600)
            shutil.chown(ready, "postgres", "postgres")
        handed.append(name)
    return handed, lost


def watch(policy: dict[str, Any]) -> list[str]:
    """Write the metrics, fill the hole of a takeover; returns what is wrong, in sentences."""
    known = facts(policy)
    wrong: list[str] = []
    state = json.loads(STATE.read_text()) if STATE.exists() else {}
    if not known["leads"]:
        state = {}
    elif known["timeline"] > 1 and state.get("timeline") != known["timeline"]:
        handed, lost = fill(policy, known)
        state = {"timeline": known["timeline"], "handed": handed, "lost": lost, "at": time.time()}
        print(
            f"leads on timeline {known['timeline']}: {len(handed)} segments of its ancestor handed to the archiver",
            flush=True,
        )
    if unarchived := state.get("lost"):
        wrong.append(f"WAL {unarchived[0]} to {unarchived[-1]} is in no archive: no recovery to a time within it")
    files.replace(STATE, json.dumps(state))
    leads = {"leads": str(known["leads"]).lower()}
    textfile_metrics.write(
        "till-wal-archive.prom",
        [
            ("till_wal_archive_ready_files", leads, known["ready_files"]),
            ("till_wal_archive_age_seconds", leads, known["ready_age_s"]),
            ("till_wal_archive_failing", {**leads, "repository": "1"}, known["failing"]),
            ("till_wal_archive_failing", {**leads, "repository": "2"}, known["offsite_failing"]),
            ("till_wal_archive_queue_ratio", leads, known["queue_ratio"]),
            ("till_wal_archive_gap", leads, bool(state.get("lost"))),
        ],
    )
    if known["failing"]:
        wrong.append(f"the archiver fails at {known['last_failed_wal']}: journalctl -u patroni; pgbackrest check")
    if known["offsite_failing"]:
        wrong.append(f"off-site: the archiver fails at {known['last_failed_wal']}: journalctl -u patroni")
    if known["queue_ratio"] >= policy["queue_alarm_ratio"]:
        wrong.append(
            f"{known['ready_files']} segments wait, {known['queue_ratio']:.0%} of what is kept before it is dropped"
        )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("facts", "watch"))
    parser.add_argument("--every-s", type=float, default=0)
    asked = parser.parse_args()
    while True:
        code = run(asked.command)
        if not asked.every_s or asked.command != "watch":
            return code
        time.sleep(asked.every_s)


def run(command: str) -> int:
    try:
        policy = settings()
        if command == "facts":
            print(json.dumps(facts(policy)))
            return 0
        wrong = watch(policy)
    except Fault as reason:
        wrong = [str(reason)]
    for sentence in wrong:
        print(f"wal-archive: {sentence}", file=sys.stderr, flush=True)
    return 1 if wrong else 0

"""A restore on this host, in steps that can each be cut off and run again.

    restore plan --to latest|TIME    choose the backup and look for room; changes nothing
    restore stop --for HOST          stop this host's copy; it does not start again before the playbook lets it
    restore fetch --to latest|TIME   bring it into a directory beside the database's
    restore prove                    recover it there and look at every page of it; the old database is not touched
    restore swap                     give it the database's place; the old directory stays beside it
    restore finish                   remove what was replaced; only after the new one has been verified in use
    restore forget                   give up what is not in place yet
    restore empty                    on a host that follows: remove its copy, which is of the past
    restore state                    how far it is; `stopped_for`: the host that this one's copy was stopped for

`--repository 2` takes the one elsewhere. Each prints JSON.

Exit codes: 0 done, 1 not possible (said on stderr; the old database is as it was until `swap`).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till_host import files
from till_host.backups import plan
from till_host.backups.pgbackrest import AS_POSTGRES, archive_gaps, info, refuse_unknown, settings
from till_host.backups.scratch import Scratch, tree_bytes
from till_host.faults import Fault

POLICY = Path("/etc/till/restore.json")
STATE = Path("/var/lib/till/restore.json")
# While this file is there, Patroni does not start (its unit has the condition).
BARRIER = Path("/var/lib/till/restoring")
SPACE_FACTOR = 1.2
COMMANDS = ("plan", "stop", "fetch", "prove", "swap", "finish", "forget", "empty", "state")
ORDER = ("planned", "fetched", "proven", "swapped")


def rules() -> dict[str, Any]:
    return {**settings(), **json.loads(POLICY.read_text())}


def state() -> dict[str, Any]:
    return dict(json.loads(STATE.read_text())) if STATE.exists() else {}


def read_progress() -> dict[str, Any]:
    """The state, and `stopped_for`, the host to restore on, where this host's copy was stopped for one."""
    stopped_for = BARRIER.read_text().strip() if BARRIER.exists() else ""
    return {**state(), **({"stopped_for": stopped_for} if stopped_for else {})}


def keep(**facts: Any) -> dict[str, Any]:
    """Write the state; the disk has it before the next step begins."""
    new = {**state(), **facts}
    files.replace(STATE, json.dumps(new) + "\n")
    return new


def moment(to: str) -> float | None:
    """Seconds since the epoch of a target; None for the newest. Raises Fault for what is no time, or in the future."""
    if to == "latest":
        return None
    try:
        found = datetime.fromisoformat(to.replace(" ", "T", 1))
    except ValueError:
        raise Fault(f"{to!r} is no time: write it like 2026-01-31T13:05:00+04:00, or latest") from None
    at = found if found.tzinfo else found.replace(tzinfo=UTC)
    if at.timestamp() > time.time():
        raise Fault(f"{to} is in the future")
    return at.timestamp()


def chosen(policy: dict[str, Any], to: str, repository: int) -> dict[str, Any]:
    """The backup that a target needs, and whether this disk has room for it beside what is there."""
    refuse_unknown(policy, repository)
    target_s = moment(to)
    found = info(policy["stanza"], repository)
    label = plan.set_for(found, target_s)
    if label is None:
        oldest = min((one["timestamp"]["stop"] for one in plan.usable(found)), default=None)
        told = (
            "there is no backup" if oldest is None else f"the oldest backup ended at {stamp(oldest)}, after the target"
        )
        raise Fault(told)
    backup = next(one for one in plan.usable(found) if one["label"] == label)
    holes = [] if target_s else archive_gaps(policy["stanza"], found, policy["segment_mb"] << 20, repository)
    if newer := [hole for hole in holes if hole[-16:] >= backup["archive"]["start"][8:]]:
        # Recovery would end at the hole and call it the newest.
        raise Fault(
            f"WAL {newer[0]} is missing after backup {label}: what is newer can't be had; give a time before it"
        )
    return {
        "to": to,
        "repository": repository,
        "label": label,
        "backup_stop": backup["timestamp"]["stop"],
        "database_bytes": backup["info"]["size"],
    }


def room(policy: dict[str, Any], needed_bytes: int) -> None:
    """Raises Fault where the old and the new database don't fit side by side."""
    place, scratch = Path(policy["data_dir"]).parent, instance(policy)
    already = tree_bytes(scratch.data) if scratch.data.exists() else 0
    free, needed = shutil.disk_usage(place).free + already, int(needed_bytes * SPACE_FACTOR)
    if free < needed:
        raise Fault(
            f"{place} has {free >> 20} MB free and {needed >> 20} MB are needed: the replaced database is kept until"
            " the new one is verified, so that it is never the only copy; make room, or restore on another --host"
        )


def instance(policy: dict[str, Any]) -> Scratch:
    return Scratch(Path(policy["data_dir"]).parent / "restoring", policy["bin_dir"], policy["port"])


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def begin(policy: dict[str, Any], to: str, repository: int) -> dict[str, Any]:
    """The plan of this restore; Fault when another one is unfinished here."""
    known = state()
    if known and (known["to"], known["repository"]) != (to, repository):
        again = f"--to '{known['to']}' --repository {known['repository']}"
        raise Fault(f"a restore to {known['to']} is unfinished here ({known['phase']}): finish it with {again}")
    if known.get("phase") in ("proven", "swapped"):
        return known
    wanted = chosen(policy, to, repository)
    room(policy, wanted["database_bytes"])
    return (
        {"phase": "planned", **known, **wanted}
        if known.get("label") == wanted["label"]
        else {**wanted, "phase": "planned"}
    )


def fetch(policy: dict[str, Any], to: str, repository: int) -> dict[str, Any]:
    known = begin(policy, to, repository)
    if reached(known, "fetched"):
        return known
    if state().get("label") != known["label"]:
        STATE.unlink(missing_ok=True)
    keep(**{"started_at": time.time(), **known})
    began, scratch = time.time(), instance(policy)
    scratch.stop()
    scratch.prepare()
    target_s = moment(to)
    target = ["--type=default", "--target-timeline=latest"]
    if target_s is not None:
        text = datetime.fromtimestamp(target_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        target = ["--type=time", f"--target={text}", "--target-action=promote", "--target-timeline=latest"]
    limits = (policy["processes"], policy["restore_timeout_s"])
    scratch.fetch(policy["stanza"], known["label"], target, *limits, repository)
    size = tree_bytes(scratch.data)
    return keep(phase="fetched", fetch_s=round(time.time() - began, 2), restore_bytes=size)


def prove(policy: dict[str, Any]) -> dict[str, Any]:
    """Recover beside the old database, and read every page: a restore that ends is not yet one that is right."""
    known = state()
    if reached(known, "proven"):
        return known
    if not reached(known, "fetched"):
        raise Fault("nothing was fetched yet: restore fetch")
    began, scratch = time.time(), instance(policy)
    if scratch.runs():
        scratch.stop()
    try:
        # Archiving is on, by an archiver that fails: what the new timeline has to archive waits for its owner.
        scratch.start("on")
        scratch.until_recovered(policy["replay_timeout_s"])
        found = scratch.ask("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'").split()
        scratch.check_structure(found, policy["check_timeout_s"])
        tables, rows = count(scratch, found)
        timeline = int(scratch.ask("SELECT substring(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), 16)
    except Fault:
        scratch.stop()
        # Half recovered is no start for a second try: the next one fetches what differs.
        keep(phase="planned")
        raise
    recovered_to = last_commit(scratch)
    scratch.stop()
    if not rows:
        raise Fault("the restored database holds no rows")
    return keep(
        phase="proven", prove_s=round(time.time() - began, 2), verified_tables=tables, verified_rows=rows,
        timeline=timeline, recovered_to=recovered_to,
    )  # fmt: skip


def count(scratch: Scratch, databases: list[str]) -> tuple[int, int]:
    """Tables and rows of the databases, each row read."""
    tables = rows = 0
    query = (
        "SELECT format('SELECT count(*) FROM %I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    for database in databases:
        for one in scratch.ask(query, database).splitlines():
            tables, rows = tables + 1, rows + int(scratch.ask(one, database))
    return tables, rows


def last_commit(scratch: Scratch) -> str:
    """When the last transaction in the restored database was committed, as recovery's log says it; "" when unsaid."""
    text = scratch.log.read_text(errors="replace")
    found = re.findall(r"last completed transaction was at log time (\S+ \S+)", text)
    return str(found[-1]) if found else ""


def swap(policy: dict[str, Any]) -> dict[str, Any]:
    """Two renames. Cut off between them, the old directory is beside; the next run gives the new one its place."""
    known = state()
    if reached(known, "swapped"):
        return known
    if not reached(known, "proven"):
        raise Fault("the restored database was not proven yet: restore prove")
    data, scratch = Path(policy["data_dir"]), instance(policy)
    held(policy)
    replaced = Path(known.get("replaced") or f"{data}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    keep(replaced=str(replaced))
    if data.exists() and scratch.data.exists():
        files.move(data, replaced)
    if scratch.data.exists():
        files.move(scratch.data, data)
    shutil.rmtree(scratch.folder, ignore_errors=True)
    return keep(phase="swapped")


def stop(policy: dict[str, Any], restore_host: str) -> dict[str, Any]:
    """Stop Patroni, and PostgreSQL where a Patroni that was killed left it running.

    Who is cut off here finds the host again: once all copies are stopped, nothing else tells which one led.
    """
    files.replace(BARRIER, f"{restore_host}\n")
    for argv in (["systemctl", "stop", "patroni.service"], [*pg_ctl(policy, "stop"), "-m", "fast", "-t", "60"]):
        if argv[0] == "systemctl" or database_runs(policy):
            subprocess.run(argv, check=False, capture_output=True, cwd="/")
    held(policy)
    return {"stopped": True}


def empty(policy: dict[str, Any]) -> dict[str, Any]:
    held(policy)
    shutil.rmtree(policy["data_dir"], ignore_errors=True)
    return {"emptied": policy["data_dir"]}


def held(policy: dict[str, Any]) -> None:
    """Raises Fault unless this host's copy is stopped and stays so."""
    patroni = subprocess.run(["systemctl", "is-active", "--quiet", "patroni.service"], check=False).returncode == 0
    if not BARRIER.exists() or patroni or database_runs(policy):
        raise Fault("the database still runs here, or may start: journalctl -u patroni -n 50")


def database_runs(policy: dict[str, Any]) -> bool:
    if not Path(policy["data_dir"]).is_dir():
        return False
    return subprocess.run(pg_ctl(policy, "status"), check=False, capture_output=True, cwd="/").returncode == 0


def pg_ctl(policy: dict[str, Any], command: str) -> list[str]:
    return [*AS_POSTGRES, f"{policy['bin_dir']}/pg_ctl", command, "-D", policy["data_dir"], "-s"]


def finish(policy: dict[str, Any]) -> dict[str, Any]:
    known = state()
    if not known:
        return {}
    if not reached(known, "swapped"):
        raise Fault(f"the restore is not in place yet ({known['phase']})")
    replaced = Path(known.get("replaced") or "")
    # Only ever a directory of our own naming beside the database's.
    if replaced.name.startswith(f"{Path(policy['data_dir']).name}.replaced-") and replaced.exists():
        shutil.rmtree(replaced)
    STATE.unlink(missing_ok=True)
    return {**known, "phase": "finished"}


def forget(policy: dict[str, Any]) -> dict[str, Any]:
    """Give a restore up that is not in place: the old database is where it always was."""
    known = state()
    if reached(known, "swapped"):
        raise Fault("the restored database is in place already: run till restore again to finish")
    instance(policy).remove()
    STATE.unlink(missing_ok=True)
    return {"phase": "given up"}


def reached(known: dict[str, Any], phase: str) -> bool:
    return bool(known) and ORDER.index(known["phase"]) >= ORDER.index(phase)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--to", default="latest")
    parser.add_argument("--repository", type=int, default=1)
    parser.add_argument("--for", dest="restore_host", default="")
    arguments = parser.parse_args()
    try:
        policy = rules()
        steps: dict[str, Any] = {
            "plan": lambda: begin(policy, arguments.to, arguments.repository),
            "stop": lambda: stop(policy, arguments.restore_host),
            "empty": lambda: empty(policy),
            "fetch": lambda: fetch(policy, arguments.to, arguments.repository),
            "prove": lambda: prove(policy),
            "swap": lambda: swap(policy),
            "finish": lambda: finish(policy),
            "forget": lambda: forget(policy),
            "state": read_progress,
        }
        print(json.dumps(steps[arguments.command]()))
    except Fault as reason:
        print(f"restore: {reason}", file=sys.stderr)
        return 1
    return 0

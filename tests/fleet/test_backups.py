"""Backups on a fleet that sells: made, proven by drills, restored; and every fault that they can have is named."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import (
    CONF,
    PSQL,
    REPOSITORY,
    archived,
    elected,
    faults,
    host_suite,
    leader,
    segments,
    until,
    well_again,
    write_wal,
)
from tests.fleet.faults import destroyed, fault, paused
from till.changes import journal
from till.checks import purchase
from till.paths import journal_file
from till.progress import Progress

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]
# One in each interval of archive_timeout (policy: 5 s).
SEGMENTS_PER_HOUR = 720


def test_a_backup_is_made_listed_and_read_through(lab: Contract) -> None:
    code, made, messages = till("backup", "now", STACK)
    assert code == 0, messages[-2000:]
    assert made["type"] in ("full", "diff", "incr")
    code, listed, _ = till("backup", "list", STACK)
    assert code == 0
    assert listed["faults"] == []
    assert made["label"] in [one["label"] for one in listed["backups"]]
    code, read, messages = till("backup", "verify", STACK)
    assert code == 0, messages[-2000:]
    assert read["verified_backups"] == len(listed["backups"])
    assert journal.read(journal_file(STACK))[-1]["verb"] == "backup now"


def test_a_drill_proves_the_newest_backup_and_leaves_nothing(lab: Contract) -> None:
    purchase.run(lab, Progress())
    code, told, messages = till("drill", "restore", STACK)
    assert code == 0, messages[-3000:]
    assert told["rpo_s"] <= 15 and told["rto_s"] <= 300
    assert told["verified_tables"] > 20 and told["verified_rows"] > 0
    assert told["restore_bytes_per_s"] > 0 and told["disk_bytes_per_s"] > 0
    assert told["directus"]["orders"] >= 1
    assert Path(told["report"]).read_text().count("<rect") == len(told["phases"])
    assert inside("ops", "ls -A /var/lib/postgresql/drill 2>/dev/null || true") == ""
    assert "postgresql/drill" not in inside("ops", "ps -eo args")
    entry = [one for one in journal.read(journal_file(STACK)) if one["verb"] == "drill restore"][-1]
    assert (entry["ok"], entry["rto_s"]) == (True, told["rto_s"])


def test_the_timers_drill_is_the_same_and_comes_home(lab: Contract) -> None:
    inside("ops", "systemctl start till-drill-restore.service")
    code, told, _ = till("drill", "list", STACK)
    assert code == 0
    newest = told["drills"][-1]
    assert newest["ok"], newest
    assert any(newest["name"] in path for path in told["reports"])
    noted = [one["name"] for one in journal.read(journal_file(STACK)) if one["verb"] == "drill restore"]
    assert noted.count(newest["name"]) == 1


@pytest.mark.matrix
def test_a_drill_that_is_killed_leaves_nothing(lab: Contract) -> None:
    inside("ops", "systemctl start --no-block till-drill-restore.service")
    until("the drill does not start a database", lambda: "postgresql/drill" in inside("ops", "ps -eo args"), 90)
    inside("ops", "systemctl kill --kill-whom=all --signal=KILL till-drill-restore.service")
    until(
        "the drill does not end",
        lambda: (
            "inactive" in (state := inside("ops", "systemctl show -P ActiveState till-drill-restore.service"))
            or "failed" in state
        ),
    )
    inside("ops", "systemctl reset-failed till-drill-restore.service")
    assert inside("ops", "ls -A /var/lib/postgresql/drill 2>/dev/null || true") == ""
    assert "postgresql/drill" not in inside("ops", "ps -eo args")


@pytest.mark.matrix
def test_a_missing_segment_is_named_and_no_restore_claims_success(lab: Contract) -> None:
    write_wal(lab, 3)
    until("WAL does not reach the repository", lambda: archived(lab))
    # A segment of the middle, after the newest backup.
    victim = segments(3)[1]
    name = Path(victim).name[:24]
    with fault("ops", f"mv {victim} /var/lib/till/victim", f"mv /var/lib/till/victim {victim}"):
        assert any(f"WAL {name} is missing" in sentence for sentence in faults())
        code, told, _ = till("backup", "verify", STACK)
        assert code != 0
        assert name in told["error"]
        code, told, messages = till("restore", STACK, "--to", "latest", "--confirm", STACK)
        assert code == 1
        assert f"WAL {name} is missing" in told["error"], messages
        assert purchase.run(lab, Progress())["payment_status"] == "completed"
    assert faults() == []


@pytest.mark.matrix
def test_a_corrupt_segment_is_found_by_verify_and_by_the_drill(lab: Contract) -> None:
    write_wal(lab)
    until("WAL does not reach the repository", lambda: archived(lab))
    # The drill's mark comes after this segment, so it must be replayed.
    victim = segments(1)[0]
    spoil = f"dd if=/dev/zero of={victim} bs=1 seek=64 count=64 conv=notrunc status=none"
    with fault(
        "ops",
        f"cp -p {victim} /var/lib/till/victim && {spoil}",
        f"cp -p /var/lib/till/victim {victim}; rm /var/lib/till/victim",
    ):
        code, told, _ = till("backup", "verify", STACK)
        assert code != 0
        assert "checksum" in told["error"] or "crypto" in told["error"] or Path(victim).name[:24] in told["error"], told
        code, told, _ = till("drill", "restore", STACK)
        assert code == 3, told
        assert told["ok"] is False
        assert "recovery" in told["reason"] or "archive ends" in told["reason"], told["reason"]
    code, told, _ = till("backup", "verify", STACK)
    assert code == 0, told


@pytest.mark.matrix
def test_a_corrupt_backup_is_found(lab: Contract) -> None:
    victim = inside("ops", f"find {REPOSITORY}/backup -path '*F/*' -name '*.zst' -size +20k | head -1").strip()
    spoil = f"dd if=/dev/zero of={victim} bs=1 seek=5000 count=64 conv=notrunc status=none"
    with fault(
        "ops",
        f"cp -p {victim} /var/lib/till/victim && {spoil}",
        f"cp -p /var/lib/till/victim {victim}; rm /var/lib/till/victim",
    ):
        code, told, _ = till("backup", "verify", STACK)
        assert code != 0
    code, told, _ = till("backup", "verify", STACK)
    assert code == 0, told


@pytest.mark.matrix
def test_a_wrong_key_is_refused(lab: Contract) -> None:
    change = f"cp -p {CONF} /var/lib/till/conf && sed -i 's/^repo1-cipher-pass=.*/repo1-cipher-pass=wrong/' {CONF}"
    # The backup that was refused is no fault of a later test.
    heal = f"cp -p /var/lib/till/conf {CONF}; rm -f /var/lib/till/conf /var/lib/till/backup.json"
    with fault("ops", change, heal):
        for verb in (("backup", "list"), ("backup", "now"), ("backup", "verify")):
            code, told, _ = till(*verb, STACK)
            assert code == 1, told
            assert "can't be read" in told["error"], told["error"]
            assert "cipher" in told["error"] or "decrypt" in told["error"], told["error"]
        code, told, _ = till("drill", "restore", STACK)
        assert code == 3
        assert "can't be read" in told["reason"]
    assert faults() == []


@pytest.mark.matrix
def test_a_full_repository_is_named_and_the_old_backups_stay(lab: Contract) -> None:
    small = (
        f"size=$(( $(du -sm {REPOSITORY} | cut -f1) + 2 )); mkdir -p /mnt/small;"
        " mount -t tmpfs -o size=${size}m small /mnt/small;"
        f" cp -a {REPOSITORY}/. /mnt/small/; chown postgres:postgres /mnt/small; mount --bind /mnt/small {REPOSITORY};"
        " systemctl restart till-pgbackrest.service"
    )
    # WAL that came meanwhile was acknowledged: it must not go with the small disk.
    heal = f"systemctl stop till-pgbackrest.service; timeout 30 sh -c 'until umount {REPOSITORY}; do sleep 0.2; done'"
    heal += f" && cp -an /mnt/small/archive/. {REPOSITORY}/archive/ && umount /mnt/small"
    heal += "; systemctl start till-pgbackrest.service"
    heal += "; rm -f /var/lib/till/backup.json"
    # None by the calendar in between.
    calendar = ("systemctl stop till-backup.timer", "systemctl start till-backup.timer")
    with fault("ops", *calendar), fault("ops", small, heal):
        before = len(till("backup", "list", STACK)[1]["backups"])
        code, told, _ = till("backup", "now", STACK, "--type", "full")
        assert code == 1
        assert "disk is full" in told["error"], told["error"]
        code, listed, _ = till("backup", "list", STACK)
        assert len(listed["backups"]) == before
        assert any("left, policy asks" in sentence for sentence in listed["faults"]), listed["faults"]
        suite = host_suite("as_policy")
        assert suite.returncode == 1, suite.stdout
        assert "left, policy asks" in suite.stdout
    # A new segment wakes an archiver that waits its minute out.
    write_wal(lab)
    until("WAL does not reach the repository", lambda: archived(lab), 120)
    until("there are faults still", lambda: faults() == [], 120)


@pytest.mark.matrix
def test_a_clock_that_is_off_by_a_day_is_named(lab: Contract) -> None:
    off = (
        "import runpy, sys, time; real = time.time; time.time = lambda: real() + 86400;"
        " sys.argv = ['backup', 'facts']; "
        " runpy.run_path('/opt/till-host/current/bin/backup', run_name='__main__')"
    )
    told = json.loads(inside("ops", f'python3 -c "{off}"').splitlines()[-1])
    # PostgreSQL's host tells whole seconds, and how long its answer was on its way is not known.
    (off_s,) = [float(found[1]) for one in told["faults"] if (found := re.search(r"clock is \+(\d+)", one))]
    assert abs(off_s - 86400) <= 5, told["faults"]


@pytest.mark.matrix
def test_a_timer_that_was_disabled_fails_the_host_suite(lab: Contract) -> None:
    with fault("ops", "systemctl disable --now till-backup.timer", "systemctl enable --now till-backup.timer"):
        suite = host_suite("timers_are_armed")
        assert suite.returncode == 1
        assert "till-backup.timer" in suite.stdout
    assert host_suite("timers_are_armed").returncode == 0


@pytest.mark.matrix
def test_a_backup_that_is_too_old_fails_the_host_suite(lab: Contract) -> None:
    policy = "/etc/till/backup-repository.json"
    aged = (
        f'cp -p {policy} /var/lib/till/policy; sed -i \'s/"max_age_hours": [0-9.]*/"max_age_hours": 0.0001/\' {policy}'
    )
    with fault("ops", aged, f"mv /var/lib/till/policy {policy}"):
        suite = host_suite("as_policy")
        assert suite.returncode == 1
        assert "h old, policy allows" in suite.stdout
    assert host_suite("as_policy").returncode == 0


@pytest.mark.matrix
def test_a_repository_that_is_away_for_an_hour_is_named_the_shop_goes_on_and_nothing_is_lost(lab: Contract) -> None:
    first = leader(lab)
    if first == "ops":
        pytest.fail("the lab's leader is ops: provision prefers the hosts with an edge")
    with paused("ops"):
        time.sleep(10)
        assert purchase.run(lab, Progress())["payment_status"] == "completed"
        # The hour's time passes as the hour's WAL: a shop that sells all the time fills a segment in each interval.
        hours = f"FOR number IN 1..{SEGMENTS_PER_HOUR} LOOP"
        fill = "PERFORM pg_logical_emit_message(false, 'till-test', number::text); PERFORM pg_switch_wal();"
        inside(first, f'{PSQL} "DO \\$\\$ BEGIN {hours} {fill} END LOOP; END \\$\\$"')
        for told in ("the archiver fails", "of what is kept before it is dropped"):
            until(
                f"nobody says that {told}",
                lambda told=told: told in inside(first, "/opt/till-host/current/bin/wal-archive watch 2>&1 || true"),
                120,
            )
        assert purchase.run(lab, Progress())["payment_status"] == "completed"
        facts = json.loads(inside(first, "/opt/till-host/current/bin/wal-archive facts"))
        assert facts["ready_files"] >= SEGMENTS_PER_HOUR and facts["queue_ratio"] < 1, facts
        suite = host_suite("wal_reaches")
        assert suite.returncode == 1, suite.stdout
        code, _told, _ = till("backup", "list", STACK)
        assert code == 4
    until("WAL does not reach the repository", lambda: archived(lab), 400)
    until("there are faults still", lambda: faults() == [], 120)


@pytest.mark.matrix
def test_a_stuck_archiver_fails_the_drill(lab: Contract) -> None:
    host = leader(lab)
    reload = f"{PSQL} 'SELECT pg_reload_conf()'"
    stick = f"{PSQL} \"ALTER SYSTEM SET archive_command = 'sleep 600'\" && {reload}"
    with fault(host, stick, f"{PSQL} 'ALTER SYSTEM RESET archive_command' && {reload} && pkill -x sleep || true"):
        code, told, _ = till("drill", "restore", STACK)
        assert code == 3
        assert "is stuck" in told["reason"], told["reason"]
    # A new segment wakes an archiver that waits its minute out.
    write_wal(lab)
    until("WAL does not reach the repository", lambda: archived(lab), 120)
    code, told, messages = till("drill", "restore", STACK)
    assert code == 0, messages[-2000:]


def handed(host: str) -> dict[str, Any]:
    """What this leader did with the WAL that a dead one had not archived."""
    return dict(json.loads(inside(host, "cat /var/lib/till/wal-archive.json")))


@pytest.mark.matrix
def test_after_a_takeover_the_archive_has_no_gap(lab: Contract) -> None:
    before = leader(lab)
    # What waits in a dead leader's queue is in no archive: its archiver is stopped first, then it dies.
    inside(before, "pkill -STOP -f '[p]ostgres: .*archiver'")
    write_wal(lab, 3)
    with destroyed(before):
        after = elected(lab, before)
        until("the gap is not filled", lambda: faults() == [] and archived(lab) and handed(after).get("handed"), 180)
        assert not handed(after)["lost"], handed(after)
    well_again(lab, 180)

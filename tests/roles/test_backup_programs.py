"""What the programs of backups, drills and restores decide, without a host; and specs equal to defaults."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from till_host import textfile_metrics
from till_host.backups import pgbackrest, plan, repository, scratch
from till_host.backups import stanza as stanzas
from till_host.backups import wal as segments
from till_host.faults import Fault

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"


MB = 1 << 20
HOUR_S = 3600
DAY_S = 24 * HOUR_S
NOW = 1_800_000_000.0
POLICY = {
    "interval_hours": 6,
    "full_every_days": 7,
    "diff_every_hours": 24,
    "max_age_hours": 7,
    "free_ratio_min": 0.1,
    "clock_offset_max_s": 30,
}
S = segments.Segment


@pytest.mark.parametrize(
    "role", ["pgbackrest", "backup_repository", "drills", "restore", "postgres", "faults", "failover_drill"]
)
def test_spec_equals_defaults(role: str) -> None:
    yaml = YAML(typ="safe")
    defaults = yaml.load(ROLES / role / "defaults" / "main.yml")
    options = yaml.load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults


def backup(kind: str, age_s: float, *, error: bool = False, repository: int = 1) -> dict[str, Any]:
    stop = NOW - age_s
    return {
        "label": f"{kind}-{age_s:.0f}",
        "type": kind,
        "timestamp": {"start": stop - 60, "stop": stop},
        "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000003"},
        "database": {"id": 1, "repo-key": repository},
        "error": error,
        "info": {"size": 100, "repository": {"delta": 10}},
    }


def info(*backups: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "status": {"code": 0, "message": "ok"},
        "repo": [{"key": 1, "cipher": "aes-256-cbc", "status": {"code": 0, "message": "ok"}}],
        "archive": [{"id": "15-1", "min": "000000010000000000000001", "max": "000000010000000000000009"}],
        "backup": sorted(backups, key=lambda one: float(one["timestamp"]["stop"])),
    } | changed


@pytest.mark.parametrize(
    ("there", "due"),
    [
        ([], "full"),
        ([("full", 6 * HOUR_S)], "incr"),
        # The timer's jitter does not put it off: nearly a day old is a day old.
        ([("full", 2 * DAY_S), ("diff", DAY_S - 60)], "diff"),
        ([("full", 2 * DAY_S), ("diff", 12 * HOUR_S), ("incr", 6 * HOUR_S)], "incr"),
        ([("full", 7 * DAY_S - 60), ("diff", 6 * HOUR_S)], "full"),
        # A full backup is a differential one's better.
        ([("full", 20 * HOUR_S)], "incr"),
        ([("full", 22 * HOUR_S)], "diff"),
    ],
)
def test_the_type_that_is_due(there: list[tuple[str, float]], due: str) -> None:
    assert plan.due(info(*(backup(kind, age_s) for kind, age_s in there)), POLICY, NOW) == due


def test_a_backup_with_errors_does_not_count() -> None:
    assert plan.due(info(backup("full", HOUR_S, error=True)), POLICY, NOW) == "full"


def test_the_set_of_a_target_ended_before_it() -> None:
    found = info(
        backup("full", 2 * DAY_S), backup("incr", DAY_S), backup("incr", HOUR_S), backup("incr", 30, error=True)
    )
    assert plan.set_for(found, None) == f"incr-{HOUR_S}"
    assert plan.set_for(found, NOW - 2 * HOUR_S) == f"incr-{DAY_S}"
    assert plan.set_for(found, NOW - 3 * DAY_S) is None


def known(**changed: Any) -> dict[str, Any]:
    facts = plan.facts(info(backup("full", DAY_S), backup("incr", HOUR_S)), NOW)
    return {**facts, "free_ratio": 0.5, "clock_offset_s": 0.2, "gaps": []} | changed


def test_no_faults_where_all_is_as_policy_wants_it() -> None:
    assert plan.faults(known(), POLICY) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"age_s": 8 * HOUR_S}, "the newest backup is 8.0 h old, policy allows 7 h"),
        ({"age_s": None}, "there is no backup"),
        ({"age_s": -DAY_S}, "24.0 h in the future"),
        ({"failed": ["F"]}, "backup F has errors"),
        ({"encrypted": False}, "not encrypted"),
        ({"free_ratio": 0.04}, "has 4% left, policy asks 10%"),
        ({"gaps": ["000000010000000000000005"]}, "WAL 000000010000000000000005 is missing"),
        ({"clock_offset_s": -86400.0}, "clock is -86400 s off"),
        ({"status": "missing stanza path"}, "the repository says: missing stanza path"),
    ],
)
def test_each_fault_is_named(changed: dict[str, Any], sentence: str) -> None:
    told = plan.faults(known(**changed), POLICY)
    assert len(told) == 1
    assert sentence in told[0]


def test_a_store_without_an_end_and_a_clock_that_was_judged_elsewhere_are_no_faults() -> None:
    assert plan.faults(known(free_ratio=None, clock_offset_s=None), POLICY) == []


def stanza(system_id: int, *backups: dict[str, Any]) -> dict[str, Any]:
    return info(*backups, db=[{"system-id": 1}, {"system-id": system_id}])


@pytest.mark.parametrize(
    ("found", "running", "repository", "verdict"),
    [
        (stanza(7, backup("full", DAY_S)), "7", 1, ""),
        (info(db=[]), "7", 1, ""),
        # Without a copy of the database nobody can say.
        (stanza(8, backup("full", DAY_S)), "", 2, ""),
        (stanza(8), "7", 1, "begin anew"),
    ],
)
def test_a_repository_that_knows_this_database_or_none_is_taken(
    found: dict[str, Any], running: str, repository: int, verdict: str
) -> None:
    assert stanzas.judge(found, running, repository) == verdict


@pytest.mark.parametrize(
    ("found", "repository"),
    [
        (stanza(8, backup("full", DAY_S)), 1),
        (stanza(8, backup("full", DAY_S)), 2),
        # What is elsewhere is never removed, also where it looks empty.
        (stanza(8), 2),
    ],
)
def test_a_repository_that_keeps_another_database_is_refused(found: dict[str, Any], repository: int) -> None:
    with pytest.raises(Fault, match="another database") as refused:
        stanzas.judge(found, "7", repository)
    assert "till restore STACK --to latest" in str(refused.value)
    assert ("--repository 2" in str(refused.value)) is (repository == 2)


def test_a_gap_is_past_once_a_backup_was_begun_behind_it() -> None:
    facts = known(gaps=["000000010000000000000005", "000000010000000000000007 to 000000010000000000000009"])
    facts["backups"][-1]["wal_start"] = "000000020000000000000008"
    (told,) = plan.faults(facts, POLICY)
    assert "000000010000000000000009 is missing" in told


@pytest.fixture
def other_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Another backup that runs; what it holds."""
    monkeypatch.setattr(repository, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(repository, "LOOK_INTERVAL_S", 0.01)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def test_a_backup_that_is_under_way_is_waited_for(other_backup: Any) -> None:
    threading.Timer(0.2, other_backup.close).start()
    began = time.monotonic()
    with repository.alone():
        assert time.monotonic() - began >= 0.2


def test_one_that_does_not_end_is_named(other_backup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "ALONE_WITHIN_S", 0.05)
    with pytest.raises(Fault, match="a backup is under way"), repository.alone():
        pytest.fail("two at once")


def test_a_leader_that_is_gone_is_no_fault_of_the_clock() -> None:
    assert plan.faults(known(clock_offset_s=None), POLICY) == []


@pytest.mark.parametrize("size_mb", [1, 4, 16, 64])
def test_names_of_segments_there_and_back(size_mb: int) -> None:
    for number in (0, 1, 255, 256, 4095, 4096, 70_000):
        one = S(3, number)
        assert segments.parse(segments.name(one, size_mb * MB), size_mb * MB) == one
    # From PostgreSQL itself: pg_walfile_name of 1/0 with segments of 16 MB.
    assert segments.name(S(1, 256), 16 * MB) == "000000010000000100000000"


def test_what_the_archive_holds() -> None:
    files = [
        "0000000100000000/000000010000000000000003-0123456789012345678901234567890123456789.zst",
        "0000000100000000/000000010000000000000004.partial-0123456789012345678901234567890123456789.zst",
        "0000000100000000/000000010000000000000003.00000028.backup",
        "00000002.history",
        "0000000100000000",
    ]
    assert segments.archived(files, 16 * MB) == {S(1, 3)}


@pytest.mark.parametrize(
    ("there", "histories", "missing"),
    [
        (set(), {}, []),
        ({S(1, 3), S(1, 4), S(1, 5)}, {}, []),
        ({S(1, 3), S(1, 5), S(1, 8)}, {}, [(S(1, 4), S(1, 4)), (S(1, 6), S(1, 7))]),
        # A takeover: the child goes on in the segment in which its ancestor ended.
        ({S(1, 3), S(1, 4), S(2, 5), S(2, 6)}, {2: {1: 5}}, []),
        ({S(1, 3), S(2, 6)}, {2: {1: 5}}, [(S(1, 4), S(1, 4)), (S(2, 5), S(2, 5))]),
        # What an ancestor wrote after its child had left is of no use to the child.
        ({S(1, 3), S(1, 4), S(1, 9), S(2, 5)}, {2: {1: 5}}, []),
        # A restore to the past: timeline 3 left 1, and 2 is no part of its road.
        ({S(1, 3), S(1, 4), S(2, 5), S(2, 9), S(3, 5)}, {3: {1: 5}}, []),
        # The oldest timeline has expired whole.
        ({S(2, 7), S(2, 8)}, {2: {1: 5}}, []),
    ],
)
def test_gaps(
    there: set[segments.Segment],
    histories: dict[int, dict[int, int]],
    missing: list[tuple[segments.Segment, segments.Segment]],
) -> None:
    assert [(gap.first, gap.last) for gap in segments.gaps(there, histories)] == missing


def test_a_history_tells_where_its_ancestors_ended() -> None:
    text = "1\t0/5000060\tno recovery target specified\n\n2\t1/9A000028\tbefore 2026-01-31 13:05:00+00\n"
    assert segments.switches(text, 16 * MB) == {1: 5, 2: 256 + 0x9A}


def test_a_repository_begun_on_a_later_timeline_needs_no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"0000000600000000/0000000600000000000000{number:02X}-{'0' * 40}.zst" for number in (5, 6, 8)]
    monkeypatch.setattr(pgbackrest, "archive_files", lambda *_: names)
    monkeypatch.setattr(pgbackrest, "repository_file", lambda *_: pytest.fail("asked for a history"))
    assert pgbackrest.archive_gaps("till", info(), 4 * MB, 2) == ["000000060000000000000007"]


def test_a_missing_history_is_needed_by_backups_of_older_timelines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> str:
        raise Fault("unable to open missing file", 55)

    names = [f"0000000{tl}00000000/0000000{tl}00000000000000{number:02X}-{'0' * 40}.zst" for tl, number in
             ((5, 3), (6, 5), (6, 7))]  # fmt: skip
    monkeypatch.setattr(pgbackrest, "archive_files", lambda *_: names)
    monkeypatch.setattr(pgbackrest, "repository_file", missing)
    made = backup("full", HOUR_S)
    made["archive"] = {"start": "000000060000000000000005", "stop": "000000060000000000000005"}
    for begun_late in (info(made), info()):
        assert pgbackrest.archive_gaps("till", begun_late, 4 * MB, 2) == ["000000060000000000000006"]
    with pytest.raises(Fault, match="missing file"):
        pgbackrest.archive_gaps("till", info(made, backup("full", DAY_S)), 4 * MB, 2)


def test_metrics_are_written_whole(tmp_path: Path) -> None:
    textfile_metrics.write("a.prom", [("x_seconds", {"type": "full"}, 12.5), ("y", {}, True)], tmp_path)
    assert (tmp_path / "a.prom").read_text() == 'x_seconds{type="full"} 12.5\ny 1\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.prom"]
    textfile_metrics.write("a.prom", [], tmp_path / "absent")


def test_pgbackrests_words_without_its_dates() -> None:
    said = (
        "2026-01-31 13:05:00.123 P00   INFO: backup command begin 2.45: --stanza=x\n"
        "2026-01-31 13:05:00.456 P00  ERROR: [056]: unable to find primary cluster - cannot proceed\n"
        "                                    HINT: are all available clusters in recovery?\n"
        "2026-01-31 13:05:00.789 P00   INFO: backup command end: aborted with exception [056]\n"
    )
    told = pgbackrest.errors(said)
    assert (
        told == "[056]: unable to find primary cluster - cannot proceed HINT: are all available clusters in recovery?"
    )
    assert pgbackrest.errors("") == "no reason given"


def test_why_a_recovery_ended() -> None:
    log = [
        "2026-01-31 13:05:00.000 UTC [7] LOG:  last completed transaction was at log time 2026-01-31 13:00:01.5+00",
        "2026-01-31 13:05:00.001 UTC [7] FATAL:  recovery ended before configured recovery target was reached",
    ]
    assert scratch.reason_of(log).startswith(
        "the archive ends before the target; its last transaction is of 2026-01-31"
    )
    assert "invalid page" in scratch.reason_of(["LOG:  x", "PANIC:  WAL contains references to an invalid page"])


class Starting(scratch.Scratch):
    """A database whose postmaster has no pid file for some looks, then `says` something and is there, or is not."""

    def __init__(self, folder: Path, says: str, there: bool) -> None:
        super().__init__(folder, "/usr/bin", 5499)
        self.looks, self.says, self.there = 0, says, there
        self.log.unlink(missing_ok=True)

    def runs(self) -> bool:
        return self.looks > 3 and self.there

    def ask(self, query: str, database: str = "postgres", timeout_s: float = 600) -> str:
        self.looks += 1
        if self.looks > 3:
            self.log.write_text(self.says)
        if not self.runs():
            raise Fault("no such file")
        return "f"


def test_a_database_that_has_said_nothing_yet_is_not_taken_for_one_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "POLL_S", 0.01)
    Starting(tmp_path, "LOG:  starting PostgreSQL 15", there=True).until_recovered(5)
    with pytest.raises(Fault, match="recovery failed: FATAL:  no space"):
        Starting(tmp_path, "FATAL:  no space", there=False).until_recovered(5)


def test_a_disk_is_measured_and_left_clean(tmp_path: Path) -> None:
    assert scratch.write_rate(tmp_path, 8) > 0
    assert list(tmp_path.iterdir()) == []


def test_what_reading_the_repository_through_found() -> None:
    sound = "stanza: x\nstatus: ok\n  backup: 1F, status: valid, total files checked: 9, total valid files: 9\n"
    assert plan.read_through(sound) == []
    broken = (
        "2026-01-31 13:05:00.1 P01   INFO: invalid result 15-1/0000000400000000/00000004000000000000003F-ab.zst:"
        " [29] raised from local-1 protocol: zst error: [-20] Data corruption detected\n"
        "                                    [FormatError] on retry after 0ms\n"
        "2026-01-31 13:05:00.2 P00   INFO: stanza: x\n                status: error\n"
    )
    (told,) = plan.read_through(broken)
    assert "00000004000000000000003F" in told and "Data corruption" in told
    assert plan.read_through("stanza: x\nstatus: error\n") == ["pgbackrest verify says: error"]


def test_a_wrong_key_is_told_from_a_repository_that_is_away() -> None:
    noise = (
        "[FormatError] unable to load info file '/r/backup.info'\nFormatError: key/value at line 1: \x9e\x01\nHINT: x"
    )
    assert "key does not decrypt it" in pgbackrest.unreadable(noise)
    assert "\x9e" not in pgbackrest.unreadable(noise)
    away = "[HostConnectError] unable to connect to 'ops:8432': [111] Connection refused"
    assert "decrypt" not in pgbackrest.unreadable(away) and "refused" in pgbackrest.unreadable(away)

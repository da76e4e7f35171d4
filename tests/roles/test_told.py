"""What becomes worth telling, who tells it, when a channel is tried again: decisions without a host."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.policy import POLICY
from till_host.database import failback_decision
from till_host.notifications import alert_receiver as alerts
from till_host.notifications import changes as notifications_changes
from till_host.notifications import claim as notifications_claim
from till_host.notifications import messages
from till_host.notifications import queue as notifications_queue
from till_host.notifications import quorum as quorums
from till_host.notifications import spool as notifications_spool

SITE_OF = {"db-a": "alpha", "db-b": "bravo", "db-ops": "ops"}
HOLD = {f"{name}_s": float(seconds) for name, seconds in POLICY["notify_hold_s"].items()}
ALL = frozenset(SITE_OF)
WELL, ALIVE, GONE = range(3)


@pytest.fixture(scope="module")
def watch() -> ModuleType:
    return notifications_changes


@pytest.fixture(scope="module")
def words(watch: ModuleType) -> ModuleType:
    return messages


@pytest.fixture(scope="module")
def claim() -> ModuleType:
    return notifications_claim


@pytest.fixture(scope="module")
def queue() -> ModuleType:
    return notifications_queue


@pytest.fixture(scope="module")
def spool() -> ModuleType:
    return notifications_spool


class Watched:
    """A host's watch that is shown one second after the other."""

    def __init__(self, watch: ModuleType) -> None:
        self.watch, self.memory, self.now = watch, watch.Memory(), 1000.0
        self.fleet = watch.Fleet(SITE_OF, tuple(SITE_OF), HOLD)
        self.changes: list[Any] = []
        self.last: Any = None

    def sees(self, alpha: int, bravo: int, leader: str, for_s: float = 1, **more: Any) -> list[str]:
        """What was told meanwhile."""
        before = len(self.changes)
        known = {"names": "alpha", "following": ALL, "synchronous": bool(leader), **more}
        for _ in range(int(for_s)):
            self.last = self.watch.Seen({"alpha": alpha, "bravo": bravo}, leader, **known)
            self.changes += self.watch.look(self.memory, self.last, self.fleet, self.now)
            self.now += 1
        return [f"{one.kind} {one.subject}" for one in self.changes[before:] if one.tell]


@pytest.fixture
def watched(watch: ModuleType) -> Watched:
    found = Watched(watch)
    assert found.sees(WELL, WELL, "db-a", for_s=60) == []
    return found


def test_a_leading_site_that_dies_is_start_switch_verified_heal(watched: Watched) -> None:
    assert watched.sees(GONE, ALIVE, "", for_s=HOLD["lost_s"]) == []
    assert watched.sees(GONE, ALIVE, "", for_s=2, names="bravo") == ["start site:alpha"]
    assert watched.sees(GONE, ALIVE, "", for_s=60, names="bravo") == []
    left = {"names": "bravo", "following": frozenset({"db-b", "db-ops"})}
    assert watched.sees(GONE, ALIVE, "db-b", for_s=3, **left, synchronous=False) == ["switch leader"]
    assert watched.sees(GONE, WELL, "db-b", for_s=20, **left) == ["verified payments"]
    # Its edge is there again, its copy is not yet.
    assert watched.sees(WELL, WELL, "db-b", for_s=100, **left) == []
    assert watched.sees(WELL, WELL, "db-b", for_s=HOLD["heal_s"] + 1, names="bravo") == ["heal site:alpha"]
    assert watched.sees(WELL, WELL, "db-b", for_s=600, names="bravo") == []


def test_a_lease_that_is_released_at_once_still_tells_the_loss_before_the_switch(watched: Watched) -> None:
    assert watched.sees(WELL, WELL, "db-b", names="alpha") == []
    assert watched.sees(GONE, WELL, "db-b", for_s=3, names="bravo") == ["start site:alpha", "switch leader"]


def test_the_other_site_lost_interrupts_nobody(watched: Watched) -> None:
    assert watched.sees(WELL, GONE, "db-a", for_s=30) == ["start site:bravo"]
    assert watched.memory.state("payments") == "possible"
    assert watched.sees(WELL, WELL, "db-a", for_s=HOLD["heal_s"] + 1) == ["heal site:bravo"]


def test_a_database_without_a_leader_is_its_sites_loss(watched: Watched) -> None:
    assert watched.sees(ALIVE, ALIVE, "", for_s=HOLD["leaderless_s"]) == []
    assert watched.sees(ALIVE, ALIVE, "", for_s=60) == ["start site:alpha"]


def test_an_edge_alone_that_dies_moves_names_only(watched: Watched) -> None:
    told = watched.sees(GONE, WELL, "db-a", for_s=30, names="bravo")
    assert told == ["start site:alpha", "verified payments", "switch apart"]
    assert watched.sees(WELL, WELL, "db-a", for_s=60) == ["heal site:alpha"]


def test_a_planned_move_is_one_switch_and_no_loss(watched: Watched) -> None:
    assert watched.sees(ALIVE, ALIVE, "", for_s=HOLD["leaderless_s"] - 1) == []
    assert watched.sees(WELL, WELL, "db-b", for_s=3) == ["switch leader"]
    assert watched.sees(WELL, WELL, "db-b", for_s=60, names="bravo") == []


def test_short_drops_are_not_told(watched: Watched) -> None:
    for _ in range(20):
        assert watched.sees(GONE, WELL, "db-a", for_s=HOLD["lost_s"]) == []
        assert watched.sees(WELL, WELL, "db-a", for_s=5) == []


def test_a_link_that_drops_for_longer_is_lost_once_and_heals_once(watched: Watched) -> None:
    told = []
    for _ in range(20):
        told += watched.sees(GONE, WELL, "db-a", for_s=6)
        told += watched.sees(WELL, WELL, "db-a", for_s=6)
    assert told == ["start site:alpha", "verified payments"]
    assert watched.sees(WELL, WELL, "db-a", for_s=60) == ["heal site:alpha"]


def test_a_host_that_sees_nothing_at_all_waits_before_it_says_so(watched: Watched) -> None:
    assert watched.sees(GONE, GONE, "", for_s=HOLD["blind_s"]) == []
    assert watched.sees(WELL, WELL, "db-a", for_s=60) == []
    told = watched.sees(GONE, GONE, "", for_s=HOLD["blind_s"] + HOLD["lost_s"] + 2)
    assert told == ["start site:alpha", "start site:bravo"]


def test_a_host_is_away_after_a_while_but_not_beside_its_lost_site(watched: Watched) -> None:
    away = frozenset({"db-ops"})
    assert watched.sees(WELL, WELL, "db-a", for_s=HOLD["away_s"], away=away) == []
    assert watched.sees(WELL, WELL, "db-a", for_s=100, away=away) == ["away host:db-ops"]
    assert watched.sees(WELL, WELL, "db-a", for_s=HOLD["heal_s"] + 1) == ["back host:db-ops"]
    told = watched.sees(WELL, GONE, "db-a", for_s=300, away=frozenset({"db-b"}))
    assert told == ["start site:bravo"]


def test_a_message_says_what_since_when_who_leads_what_customers_notice_and_what_next(
    watched: Watched, words: ModuleType
) -> None:
    watched.sees(GONE, ALIVE, "", for_s=10)
    events = [words.event(one, watched.memory, watched.last, watched.fleet, "lab", 1e9) for one in watched.changes]
    start = next(one for one in events if one["kind"] == "start")
    assert start["title"] == "Till lab: start: Site alpha is lost: gone: its edge does not answer"
    for part in ("Since 1970-01-01 00:17:40 UTC", "No database leads", "Payments wait or fail", "till status lab"):
        assert part in start["text"]
    assert (start["severity"], start["subject"], start["state"]) == ("failure", "site:alpha", "lost")
    assert [one["tell"] for one in events if one["kind"] == "stopped"] == [False]


def test_a_host_that_is_cut_off_for_a_moment_believes_nothing_of_it(watched: Watched) -> None:
    """Its link drops: to it, the other site is gone and so is the quorum, for a moment longer than the hold."""
    quorum, told = quorums.Quorum(), list[str]()
    for second in range(60):
        cut = second % 10 < 5
        if quorum.trusts(watched.memory.since, not cut, watched.now, 20.0):
            # Checks say gone for a second more than the link is.
            told += watched.sees(WELL, GONE if second % 10 < 6 else WELL, "db-a")
        else:
            watched.now += 1
    assert told == []


def test_the_only_host_that_is_left_tells_after_a_while(watched: Watched) -> None:
    quorum, told = quorums.Quorum(), list[tuple[int, str]]()
    for second in range(60):
        if quorum.trusts(watched.memory.since, False, watched.now, 20.0):
            told += [(second, one) for one in watched.sees(ALIVE, GONE, "")]
        else:
            watched.now += 1
    assert [one for _, one in told] == ["start site:bravo", "start site:alpha"]
    assert 20 <= told[0][0] <= 24


TAKEOVER_S = 30.0


def seen(state: str, at: float, name: str) -> dict[str, Any]:
    return {"state": state, "at": at, "id": name}


def test_what_three_hosts_see_is_told_by_the_first(claim: ModuleType) -> None:
    first, late, early = seen("lost", 100, "a"), seen("lost", 103, "b"), seen("lost", 98, "c")
    assert claim.verdict([], first, 100, TAKEOVER_S)[0] == claim.SEND
    record = claim.claimed([], first, "a", 100, delivered=False)
    for other in (late, early):
        assert claim.verdict(record, other, 104, TAKEOVER_S)[0] == claim.WAIT
    record = claim.claimed(record, first, "a", 105, delivered=True)
    for other in (late, early):
        assert claim.verdict(record, other, 106, TAKEOVER_S)[0] == claim.DROP
    assert claim.verdict(record, first, 106, TAKEOVER_S)[0] == claim.SEND
    assert len(record) == 1


def test_who_dies_with_a_claim_is_taken_over_from(claim: ModuleType) -> None:
    record = claim.claimed([], seen("lost", 100, "a"), "a", 100, delivered=False)
    late = seen("lost", 103, "b")
    assert claim.verdict(record, late, 100 + TAKEOVER_S, TAKEOVER_S)[0] == claim.SEND
    record = claim.claimed(record, late, "b", 131, delivered=True)
    assert [(one["by"], one["event"]) for one in record] == [("b", "b")]


def test_the_next_loss_is_told_and_a_late_witness_of_the_first_is_not(claim: ModuleType) -> None:
    record: list[dict[str, Any]] = []
    for state, at, name in (("lost", 100, "a1"), ("well", 200, "a2")):
        record = claim.claimed(record, seen(state, at, name), "a", at, delivered=True)
    assert claim.verdict(record, seen("lost", 300, "b3"), 300, TAKEOVER_S)[0] == claim.SEND
    assert claim.verdict(record, seen("lost", 130, "b1"), 300, TAKEOVER_S)[0] == claim.DROP
    assert claim.verdict(record, seen("well", 199, "b2"), 300, TAKEOVER_S)[0] == claim.DROP
    assert claim.last_state(record) == "well"


def test_a_record_does_not_grow_for_ever(claim: ModuleType) -> None:
    record: list[dict[str, Any]] = []
    for at in range(200):
        record = claim.claimed(record, seen("lost" if at % 2 else "well", at, str(at)), "a", at, delivered=True)
    assert len(record) == claim.KEPT
    assert record[-1]["at"] == 199


def test_a_channel_that_is_down_is_tried_with_growing_pauses(queue: ModuleType) -> None:
    patience = queue.Patience(retry_s=5, retry_max_s=300, holds_up=5, give_up_s=86400)
    assert [queue.pause_s(n, patience) for n in (1, 2, 3, 7, 8, 1000)] == [5, 10, 20, 300, 300, 300]
    event: dict[str, Any] = {"at": 0.0}
    for _ in range(4):
        event = queue.failed(event, "one")
    assert queue.holds_up(event, "one", patience)
    assert not queue.holds_up(queue.failed(event, "one"), "one", patience)
    event = queue.delivered(event, "two", 7)
    assert queue.missing(event, ["one", "two"]) == ["one"]
    assert not queue.given_up(event, 86400, patience)
    assert queue.given_up(event, 86401, patience)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("spool", "told"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_events_are_kept_oldest_first_and_by_nobody_else_read(spool: ModuleType, folder: Path) -> None:
    for at in (1000000.5, 99.25, 3000.0):
        spool.put({"kind": "start", "title": "t", "text": "x", "at": at}, "db-a", folder)
    kept = list(spool.events(folder / "spool"))
    assert [one["at"] for one in kept] == [99.25, 3000.0, 1000000.5]
    assert {one["kind"] for one in kept} == {"start"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder / "spool").iterdir()} == {0o640}
    spool.done(kept[0] | {"outcome": "told"}, folder)
    assert [one["at"] for one in spool.events(folder / "told")] == [99.25]
    assert len(list((folder / "spool").iterdir())) == 2
    spool.forget(1, folder)


def test_a_spool_is_emptied_of_what_is_no_event(spool: ModuleType, folder: Path) -> None:
    kept = spool.put({"kind": "start", "title": "t", "text": "x"}, "db-a", folder)
    (folder / "spool" / "half.json").write_text('{"id": "ha')
    for name, age_s in (("young.1.partial", 0), ("old.1.partial", 3600)):
        (folder / "spool" / name).write_text("")
        os.utime(folder / "spool" / name, (1e9, (folder / "spool" / "half.json").stat().st_mtime - age_s))
    spool.sweep(folder)
    assert {path.name for path in (folder / "spool").iterdir()} == {f"{kept['id']}.json", "young.1.partial"}
    assert [path.name for path in (folder / "told").iterdir()] == ["half.json.unreadable"]


def test_an_alert_and_its_end_become_messages() -> None:
    firing = {
        "status": "firing",
        "labels": {"alertname": "BackupTooOld", "severity": "critical", "host": "ops"},
        "annotations": {"summary": "It is 9h old.", "runbook": "docs/runbooks/alerts.md#backup-too-old"},
        "startsAt": "2026-01-31T09:05:00.000Z",
        "fingerprint": "f1",
    }
    event = alerts.event(firing, "lab", 5.0)
    assert (event["kind"], event["severity"]) == ("alert", "failure")
    assert event["title"] == "Till lab: alert: BackupTooOld on ops"
    assert event["text"].splitlines() == [
        "It is 9h old. Since 2026-01-31 09:05:00 UTC.",
        "Next: till status lab; docs/runbooks/alerts.md#backup-too-old",
    ]
    over = alerts.event({**firing, "status": "resolved"}, "lab", 9.0)
    assert (over["kind"], over["severity"], over["text"].splitlines()[0]) == (
        "resolved", "success", "BackupTooOld on ops is over. It was: It is 9h old."
    )  # fmt: skip


@pytest.fixture(scope="module")
def failback() -> ModuleType:
    return failback_decision


AFTER_S, RELAPSE_S = 900.0, 86400.0


def ready(failback: ModuleType, **changes: Any) -> Any:
    seen = failback.Seen(
        leader="db-b", leads_here=False, role="sync_standby", state="streaming", lag_bytes=0, others_stream=True,
        paused=False, healthy=True, unfinished="",
    )  # fmt: skip
    return dataclasses.replace(seen, **changes)


def decided(failback: ModuleType, seen: Any, since: float = 0.0, now: float = 1e6, **given: Any) -> tuple[float, Any]:
    policy = failback.Policy(given.pop("automatic", True), AFTER_S, RELAPSE_S, 1024)
    since, decision = failback.decide(seen, failback.Record(**given), since, now, policy)
    return float(since), decision


def test_a_site_moves_back_after_it_was_well_without_a_break(failback: ModuleType) -> None:
    since, decision = decided(failback, ready(failback), now=1000.0)
    assert (since, decision.move) == (1000.0, False)
    assert not decided(failback, ready(failback), since, 1000.0 + AFTER_S - 1)[1].move
    assert decided(failback, ready(failback), since, 1000.0 + AFTER_S)[1].move
    # One break, and it begins anew.
    assert decided(failback, ready(failback, healthy=False), since, 1500.0)[0] == 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"leader": ""}, "nobody leads"),
        ({"paused": True}, "paused"),
        ({"unfinished": "a restore is unfinished here"}, "restore"),
        ({"role": "replica"}, "not a streaming synchronous"),
        ({"state": "starting"}, "not a streaming synchronous"),
        ({"role": "", "state": ""}, "absent"),
        ({"lag_bytes": None}, "unknown number"),
        ({"lag_bytes": 1025}, "lags 1025"),
        ({"others_stream": False}, "third copy"),
        ({"healthy": False}, "edge here is not well"),
        ({"leads_here": True}, "this site leads"),
    ],
)
def test_a_site_that_could_not_lead_does_not_move(failback: ModuleType, changes: dict[str, Any], words: str) -> None:
    since, decision = decided(failback, ready(failback, **changes), since=1.0)
    assert (since, decision.move, decision.hold) == (0.0, False, False)
    assert words in decision.reason


def test_manual_and_held_stay_however_long(failback: ModuleType) -> None:
    assert not decided(failback, ready(failback), 1.0, automatic=False)[1].move
    decision = decided(failback, ready(failback), 1.0, held="a person moved it")[1]
    assert not decision.move
    assert "a person moved it" in decision.reason


def test_the_lead_lost_again_soon_after_a_move_is_the_last(failback: ModuleType) -> None:
    soon = decided(failback, ready(failback), now=5000.0, moved_at=4000.0)[1]
    assert (soon.hold, soon.move) == (True, False)
    later = decided(failback, ready(failback), 1.0, 4000.0 + RELAPSE_S, moved_at=4000.0)[1]
    assert (later.hold, later.move) == (False, True)
    # In the moment without a leader nothing is decided yet.
    assert not decided(failback, ready(failback, leader=""), now=5000.0, moved_at=4000.0)[1].hold
    assert failback.Record.read({"held": "x", "moved_at": 3}) == failback.Record("x", 0.0, 3.0)
    assert failback.Record.read(None) == failback.Record()

"""The program that watches a release: begun, cut off, gone on with, ended, and the way back over both edges."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.roles.watched import DEADLINE_S, HOSTS, LOCK_TOKEN, NEW, OLD, Fleet, standing

SWITCHED = f"slots switch blue --drop --fence {LOCK_TOKEN}"
UNDONE = f"slots switch green --drop --fence {LOCK_TOKEN}"
WAITS_S = 1.5


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with standing(tmp_path) as found:
        yield found


def all_serve(fleet: Fleet, version: str) -> bool:
    return all(fleet.serves(host) == version for host in HOSTS)


def ended(fleet: Fleet) -> bool:
    return bool(json.loads((fleet.folder / "release-watch.json").read_text())["ended"])


def test_a_good_release_is_watched_to_the_end_and_stays(fleet: Fleet) -> None:
    fleet.begin(watch_s=4 * WAITS_S)
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0
    measures = fleet.look()["measures"]
    assert {one["verdict"] for name, one in measures.items() if name in ("payments", "paypal", "restarts")} == {"pass"}
    assert all_serve(fleet, NEW) and fleet.asked("switch") == [] and fleet.asked("lease") == []
    assert fleet.events() == [("success", f"{NEW} stays")]
    assert fleet.watch["ended"]["why"] == f"{NEW} was watched to the end and stays"


def test_a_watch_whose_host_was_away_until_its_end_looks_once_more(fleet: Fleet) -> None:
    fleet.begin(watch_s=0.01)
    fleet.traffic(payments=40, unpaid=20)
    time.sleep(0.1)
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)
    assert fleet.events() == [("failure", f"{NEW} is taken back"), ("success", f"{OLD} serves again")]


def test_payments_that_fail_take_it_back_everywhere_and_people_are_told(fleet: Fleet) -> None:
    fleet.begin()
    with fleet.runs() as process:
        fleet.look()
        fleet.traffic(payments=40, unpaid=20)
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)
    assert [len(fleet.asked(f"{host} {SWITCHED}")) for host in HOSTS] == [1, 1]
    assert len(fleet.asked("drain")) == 2
    assert fleet.events() == [("failure", f"{NEW} is taken back"), ("success", f"{OLD} serves again")]
    (result,) = fleet.ask("results")
    assert (result["verdict"], result["old_version"], result["new_version"]) == ("pass", NEW, OLD)
    assert result["by"] == "till-release-watch@ops" and "payments failed" in result["reason"]
    assert result["rollback_s"] < 5 and result["measures"]["payments"]["verdict"] == "immediate"
    assert "was taken back" in fleet.watch["ended"]["why"]
    assert "worse than before with 9" in fleet.journal()
    # The unit may be started again: nothing goes on.
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0


def test_a_part_that_only_the_new_release_lacks_takes_it_back(fleet: Fleet) -> None:
    fleet.begin()
    fleet.health[NEW] = {"directus": True, "database": True, "paypal": False}
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)


@pytest.mark.parametrize(
    "without",
    [{"directus": True, "database": True, "paypal": False}, {"directus": False, "database": True, "paypal": True}],
)
def test_what_both_releases_lack_moves_nothing(fleet: Fleet, without: dict[str, bool]) -> None:
    fleet.begin()
    fleet.health = {NEW: without, OLD: without}
    fleet.traffic(payments=40, unpaid=40)
    part = next(name for name, there in without.items() if not there)
    with fleet.runs():
        fleet.until(lambda: fleet.look()["measures"][part]["verdict"] == "held")
        time.sleep(WAITS_S)
        # What failed meanwhile is no evidence.
        assert fleet.look()["measures"]["payments"]["sentence"].startswith("no payments yet")
    assert all_serve(fleet, NEW) and fleet.events() == [] and fleet.asked("switch") == []


def test_too_little_traffic_is_said_and_moves_nothing(fleet: Fleet) -> None:
    fleet.begin()
    fleet.traffic()
    with fleet.runs():
        fleet.look()
        fleet.told["alpha", "green"]["unpaid"] = 2
        fleet.until(lambda: "2 of 2 payments failed" in fleet.look()["measures"]["payments"]["sentence"])
        time.sleep(WAITS_S)
        said = fleet.look()["measures"]["payments"]
    assert said["verdict"] == "insufficient" and "more good payments would do" in said["sentence"]
    assert all_serve(fleet, NEW) and fleet.events() == []


def test_without_prometheus_it_goes_on_and_says_so(fleet: Fleet) -> None:
    fleet.begin()
    fleet.prometheus = False
    with fleet.runs() as process:
        assert fleet.look()["measures"]["payments"]["verdict"] == "insufficient"
        fleet.prometheus = True
        fleet.traffic(payments=40, unpaid=40)
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)


def test_what_is_to_be_considered_is_told_with_the_command(fleet: Fleet) -> None:
    fleet.begin()
    fleet.traffic(payments=40, unpaid=6)
    with fleet.runs():
        fleet.until(fleet.events)
        time.sleep(WAITS_S)
    assert fleet.events() == [("warning", f"should {NEW} go back?")]
    (event,) = [json.loads(path.read_text()) for path in (fleet.folder / "notify" / "spool").iterdir()]
    assert "payments failed (15.0 %), 4 of 204 on the old release before the deploy" in event["text"]
    assert "Next: till rollback lab" in event["text"]
    assert all_serve(fleet, NEW)


def test_what_one_edge_can_not_do_the_other_undoes(fleet: Fleet) -> None:
    fleet.begin()
    (fleet.folder / "bravo.away").write_text("slots switch")
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs():
        fleet.until(lambda: len(fleet.ask("results")) == 3)
        time.sleep(WAITS_S)
        tries = fleet.asked(f"alpha {SWITCHED}")
        assert len(tries) == len(fleet.asked(f"alpha {UNDONE}")) == 3
    # Edges differ: what could not be undone is gone on with, and in the end it is a person's.
    assert {one["verdict"] for one in fleet.ask("results")} == {"fail"}
    told = fleet.events()
    assert told[0] == ("failure", f"{NEW} is taken back") and told[-1] == ("failure", f"{NEW} was not taken back")
    assert fleet.serves("alpha") == NEW


def test_an_edge_that_refuses_once_is_tried_again_after_the_other_undid_it(fleet: Fleet) -> None:
    fleet.begin()
    (fleet.folder / "bravo.away").write_text("slots switch blue")
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs() as process:
        fleet.until(lambda: fleet.asked(f"alpha {UNDONE}"))
        (fleet.folder / "bravo.away").unlink()
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)
    verdicts = [one["verdict"] for one in fleet.ask("results")]
    assert verdicts[-1] == "pass" and "fail" in verdicts[:-1]
    assert fleet.events()[-1] == ("success", f"{OLD} serves again")


def test_an_edge_that_can_not_be_asked_keeps_all_as_it_is_until_it_can(fleet: Fleet) -> None:
    fleet.begin()
    (fleet.folder / "bravo.away").write_text("slots")
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs() as process:
        fleet.until(lambda: fleet.watch["waits"])
        time.sleep(WAITS_S)
        assert "no route to bravo" in fleet.watch["waits"]
        assert fleet.asked("switch") == [] and all_serve(fleet, NEW)
        assert fleet.events() == [("failure", f"{NEW} waits to be taken back")]
        (fleet.folder / "bravo.away").unlink()
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)


def test_a_release_that_has_contracted_the_database_is_never_taken_back(fleet: Fleet) -> None:
    fleet.begin(contracted=True)
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs():
        fleet.until(lambda: fleet.watch["waits"])
        time.sleep(WAITS_S)
    assert "has contracted the database" in fleet.watch["waits"]
    assert fleet.events() == [("failure", f"{NEW} waits to be taken back")]
    assert fleet.asked("switch") == [] and fleet.asked("lease") == [] and all_serve(fleet, NEW)


def test_a_change_under_way_wins_and_ends_the_watch(fleet: Fleet) -> None:
    fleet.begin()
    holder = {"verb": "deploy v3.0.0", "by": "ann", "host": "laptop", "since": "2026-11-25T10:00:00+00:00"}
    (fleet.folder / "busy").write_text(json.dumps(holder))
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs() as process:
        fleet.until(lambda: fleet.watch["waits"])
        assert "deploy v3.0.0 by ann on laptop" in fleet.watch["waits"]
        time.sleep(WAITS_S)
        assert fleet.events() == [("failure", f"{NEW} waits to be taken back")]
        assert fleet.ask("end", "deploy v3.0.0", "ann@laptop") == {"ended": True}
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, NEW) and fleet.asked("switch") == []
    assert fleet.watch["ended"] | {"at": 0} == {"at": 0, "why": "deploy v3.0.0", "by": "ann@laptop"}
    assert fleet.ask("end", "again", "ann") == {"ended": False}


def test_when_the_lock_is_free_again_it_goes_back(fleet: Fleet) -> None:
    fleet.begin()
    holder = {"verb": "backup", "by": "ann", "host": "laptop", "since": "2026-11-25T10:00:00+00:00"}
    (fleet.folder / "busy").write_text(json.dumps(holder))
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs() as process:
        fleet.until(lambda: fleet.watch["waits"])
        (fleet.folder / "busy").unlink()
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)


def test_a_watch_goes_on_after_a_restart_of_its_host(fleet: Fleet) -> None:
    fleet.begin()
    with fleet.runs():
        fleet.look()
    (fleet.folder / "run" / "look.json").unlink()
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)


def test_a_way_back_that_was_cut_off_is_finished(fleet: Fleet) -> None:
    fleet.begin()
    (fleet.folder / "bravo.slow").write_text("30")
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs() as process:
        fleet.until(lambda: fleet.serves("alpha") == OLD)
        process.kill()
    assert fleet.serves("bravo") == NEW and not ended(fleet)
    (fleet.folder / "bravo.slow").unlink()
    # The fault is not seen any more: edges that differ are still made one.
    fleet.traffic(payments=40)
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0
    assert all_serve(fleet, OLD)
    assert fleet.events() == [("failure", f"{NEW} is taken back"), ("success", f"{OLD} serves again")]


def test_somebody_who_moved_the_slots_meanwhile_is_not_stepped_on(fleet: Fleet) -> None:
    fleet.begin()
    for host in HOSTS:
        fleet.slots(host, blue="v3.0.0")
    fleet.traffic(payments=40, unpaid=40)
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0
    assert fleet.asked("switch") == [] and "another release serves" in fleet.watch["ended"]["why"]


def test_a_later_watch_takes_the_place_of_the_one_before(fleet: Fleet) -> None:
    fleet.begin()
    with fleet.runs() as process:
        fleet.look()
        fleet.begin()
        assert process.wait(DEADLINE_S) == 0
    assert not ended(fleet)


def test_a_way_back_that_does_not_end_well_is_told(fleet: Fleet) -> None:
    fleet.begin()
    fleet.traffic(payments=40, unpaid=40)
    fleet.health[OLD] = None
    with fleet.runs() as process:
        assert process.wait(DEADLINE_S) == 0
    (result,) = fleet.ask("results")
    assert result["verdict"] == "fail" and "alpha is not well" in result["warning"]
    assert fleet.events()[-1] == ("warning", f"{OLD} serves again")


@pytest.mark.parametrize(
    ("given", "words"), [({}, "is not given"), (None, "is not given"), ({"hosts": {"gone": {}}}, "gone is no edge")]
)
def test_a_watch_of_something_unknown_is_refused(fleet: Fleet, given: Any, words: str) -> None:
    if given:
        with pytest.raises(AssertionError, match=words):
            fleet.begin(**given)
        return
    done = subprocess.run(fleet.command("begin"), input="{}", capture_output=True, text=True, env=fleet.env)
    assert done.returncode == 1 and words in done.stderr
    assert fleet.ask("show") == {"watch": None}
    assert subprocess.run(fleet.command("go"), capture_output=True, env=fleet.env).returncode == 2

"""The runner's end of the stack's lock in etcd: kept, gone on with by another host, lost, given back."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import pytest

from infra.contract import Contract
from tests.store import ADDRESSES, Store
from tests.till.conftest import contract_of, host
from till.changes import fleet_lock
from till.errors import HostUnreachable, Refused, TillError
from till.hosts import reach
from till.hosts.session import Session
from till.policy import thresholds
from till.progress import Progress

MEMBERS = ("alpha", "bravo", "ops")
FAST = {"lifetime_s": 4, "beat_s": 0.5, "answer_deadline_s": 4, "start_deadline_s": 10, "reach_timeout_s": 2}
POLICY = dict(thresholds()["lease"])
MARGIN_S = 4
HOLD = """
import sys
from tests.till.changes import test_fleet_lock as here
place = here.Place(sys.argv[1:])
with here.held_by(place, "deploy v1") as one:
    print(one.token, flush=True)
    sys.stdin.read()
"""


class Place:
    """A session whose hosts with etcd are processes of this machine: the command of each, and what it started."""

    def __init__(self, command: list[str]) -> None:
        self.contract: Contract = contract_of(*(host(name, roles=["database", "etcd"]) for name in MEMBERS))
        self.command, self.away = command, set[str]()
        self.talks: list[tuple[str, subprocess.Popen[bytes]]] = []

    def talk(self, name: str, command: str) -> subprocess.Popen[bytes]:
        words = [*self.command, *shlex.split(command)[1:]]
        if name in self.away:
            words = ["sh", "-c", "echo no route to host >&2; exit 255"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True)
        self.talks.append((name, process))
        return process


def held_by(place: Place, verb: str, progress: Progress | None = None) -> AbstractContextManager[fleet_lock.LockHold]:
    return fleet_lock.hold_fleet_lock(cast(Session, place), verb, progress)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(thresholds(), "lease", {**thresholds()["lease"], **FAST})
    monkeypatch.setattr(reach, "ask_ssh", lambda *_: "")


@pytest.fixture
def place(store: Store) -> Place:
    return Place(store.program())


def soon(true: Callable[[], Any], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_kept_beyond_its_lifetime_and_given_back_at_the_end(place: Place, store: Store) -> None:
    with held_by(place, "deploy v1") as held:
        time.sleep(FAST["lifetime_s"] + 1)
        held.check()
        shown = store.show() or {}
        assert (shown["verb"], shown["token"]) == ("deploy v1", held.token)
        assert {"by", "host", "since"} <= set(shown)
    assert store.show() is None
    assert len(place.talks) == 1


def test_it_is_given_back_when_the_change_fails(place: Place, store: Store) -> None:
    with pytest.raises(ZeroDivisionError), held_by(place, "deploy v1"):
        raise ZeroDivisionError
    assert store.show() is None


def test_the_second_one_is_refused_and_told_who_is_first(place: Place, store: Store) -> None:
    with held_by(place, "deploy v1") as first:
        with pytest.raises(Refused) as raised, held_by(Place(store.program()), "provision"):
            pass
        first.check()
    assert raised.value.exit_code == 5
    assert raised.value.message.startswith("stack lab is locked: deploy v1 by ")
    assert " since 20" in raised.value.message
    assert "till status lab" in raised.value.next_command


def test_it_goes_on_by_another_host_with_the_same_token(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another program starts within it, however busy the machine is.
    lifetime_s = 10
    monkeypatch.setitem(thresholds()["lease"], "lifetime_s", lifetime_s)
    with held_by(place, "deploy v1") as held:
        name, process = place.talks[0]
        place.away.add(name)
        process.kill()
        soon(lambda: len(place.talks) == 2)
        time.sleep(lifetime_s + 1)
        held.check()
        assert place.talks[1][0] != name
        assert (store.show() or {})["token"] == held.token
    assert store.show() is None


def test_a_host_that_says_nothing_is_left_for_another(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(thresholds()["lease"], "answer_deadline_s", 1)
    monkeypatch.setitem(thresholds()["lease"], "lifetime_s", 8)
    with held_by(place, "deploy v1") as held:
        place.talks[0][1].send_signal(signal.SIGSTOP)
        soon(lambda: len(place.talks) == 2)
        time.sleep(8)
        held.check()


def test_a_change_that_has_lost_it_stops_and_is_told_who_has_it(place: Place, store: Store) -> None:
    with held_by(place, "deploy v1") as held:
        place.away.update(MEMBERS)
        place.talks[0][1].kill()
        soon(held.lost.is_set)
        with pytest.raises(TillError, match="has lost the lock of stack lab") as raised:
            held.check()
        assert "no route to host" in raised.value.message
        soon(lambda: store.show() is None)
        with held_by(Place(store.program()), "deploy v2") as newer:
            assert newer.token > held.token


def test_a_runner_that_was_stopped_meanwhile_is_told_who_has_it_now(place: Place, store: Store) -> None:
    with held_by(place, "deploy v1") as held:
        # As seen from here: nothing was renewed, and somebody took over.
        held._over.set()
        held._keeper.join()
        place.talks[0][1].kill()
        soon(lambda: store.show() is None)
        with held_by(Place(store.program()), "deploy v2"):
            held._over.clear()
            held._resume()
            with pytest.raises(TillError, match="deploy v2 by"):
                held.check()


def test_a_killed_runner_is_taken_over_within_the_lifetime(
    store: Store, fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other one works on another machine.
    monkeypatch.setattr(fleet_lock, "place", lambda _: "elsewhere")
    program = HOLD.replace("place =", f"here.thresholds()['lease'].update({FAST}); "
                           "here.reach.ask_ssh = lambda *_: ''; place =")  # fmt: skip
    command = [sys.executable, "-c", program, *store.program()]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    token = int(first.stdout.readline())
    first.kill()
    first.wait()
    began, refused = time.monotonic(), 0
    while True:
        try:
            with held_by(Place(store.program()), "deploy v2") as newer:
                break
        except Refused:
            refused += 1
            time.sleep(0.1)
    assert refused
    assert time.monotonic() - began < FAST["lifetime_s"] + MARGIN_S
    assert newer.token > token


def test_who_holds_this_machines_lock_waits_for_the_end_of_a_killed_change_of_its_own(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_lock, "place", lambda _: "boot:1:2")
    said = {"verb": "deploy v1", "by": "a", "host": "b", "since": "c", "place": "boot:1:2", "lifetime-s": 4}
    words = [f"--{key}={value}" for key, value in said.items()]
    dead = fleet_lock.LockHold(cast(Session, place), words, thresholds()["lease"])
    dead.take()
    dead._over.set()
    place.talks[0][1].kill()
    with held_by(Place(store.program()), "deploy v1") as held:
        assert held.token > dead.token


def test_without_a_majority_a_deploy_is_not_begun_and_a_repair_says_so(
    place: Place, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.silent(*ADDRESSES[1:]):
        away = pytest.raises(TillError, match="can't be held in etcd: alpha: etcd does not answer")
        with away, held_by(place, "deploy v1"):
            pytest.fail("it was begun")
        with held_by(place, "failover to bravo", Progress()) as held:
            held.check()
            assert held.token == 0
    assert "only this machine's lock keeps other changes away" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "next_command", "words"),
    [
        (["sh", "-c", "echo sh: lease: command not found >&2; exit 127"], "till provision lab", "alpha has no program"),
        (["sh", "-c", "exit 255"], "till status lab", "alpha can't be reached by SSH"),
        (["sh", "-c", "echo nonsense"], "till status lab", "alpha: no answer in time"),
    ],
)
def test_what_does_not_answer_is_named(command: list[str], next_command: str, words: str) -> None:
    with pytest.raises(TillError, match=words) as raised, held_by(Place(command), "deploy v1"):
        pass
    assert raised.value.next_command == next_command


def test_hosts_that_are_gone_are_not_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "ask_ssh", lambda *_: "timed out")
    with pytest.raises(HostUnreachable, match="alpha") as raised, held_by(place, "deploy v1"):
        pass
    assert raised.value.exit_code == 4
    assert place.talks == []


def test_the_place_is_the_lock_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_lock, "lock_file", lambda stack: tmp_path / f"{stack}.json")
    assert fleet_lock.place("lab") == ""
    for name in ("lab", "other"):
        (tmp_path / f"{name}.json").touch()
    assert fleet_lock.place("lab") == fleet_lock.place("lab") != fleet_lock.place("other")


def test_policy_leaves_time_for_another_host_in_a_lifetime() -> None:
    assert POLICY["beat_s"] + POLICY["answer_deadline_s"] + POLICY["reach_timeout_s"] < POLICY["lifetime_s"] / 1.5
    assert POLICY["answer_deadline_s"] > len(ADDRESSES)

"""The stack's lock in a real etcd: taken, refused, kept, left, gone on with, given back; and the hosts' fence."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from tests.store import ADDRESSES, Store
from till_host.change_lock import lock
from till_host.faults import Fault
from till_host.slots import fence as slots_fence

LIFETIME_S = 3
# etcd ends leases in steps of half a second, and this machine may be busy.
MARGIN_S = 3


class Holding:
    """A runner's end of the program."""

    def __init__(self, store: Store, *words: str, verb: str = "deploy v1", lifetime_s: int = LIFETIME_S) -> None:
        said = [f"--verb={verb}", "--by=ada", "--host=laptop", "--since=2026-11-25T10:00:00+00:00"]
        command = store.program("hold", *said, f"--lifetime-s={lifetime_s}", *words)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.first = self.answer()

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return dict(json.loads(line)) if line else {}

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)

    def faults(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def holding(store: Store, *words: str, verb: str = "deploy v1", lifetime_s: int = LIFETIME_S) -> Iterator[Holding]:
    one = Holding(store, *words, verb=verb, lifetime_s=lifetime_s)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


def beaten(holder: Any) -> Any:
    """What a beat is answered; members of a busy machine may not answer within a second, and the runner beats again."""
    for _ in range(5):
        holder.say("beat")
        if (answer := holder.answer()) == holder.first:
            break
    return answer


def taken_over_after_s(store: Store) -> tuple[float, int]:
    """How long somebody who asks again and again is refused, and the token then."""
    began, refused_s = time.monotonic(), 0.0
    while True:
        with holding(store, verb="deploy v2") as second:
            if "token" in second.first:
                second.say("release")
                assert second.process.wait(10) == 0
                return refused_s, second.first["token"]
            refused_s = time.monotonic() - began
        assert time.monotonic() < began + 60, second.first
        time.sleep(0.1)


def test_the_second_is_told_who_is_first_and_since_when(store: Store) -> None:
    with holding(store) as first, holding(store, verb="provision") as second:
        assert second.first["refused"] == {
            "verb": "deploy v1", "by": "ada", "host": "laptop", "since": "2026-11-25T10:00:00+00:00", "place": "",
            "token": first.first["token"],
        }  # fmt: skip
        assert second.process.wait(10) == 5
        assert store.show() == second.first["refused"]


def test_a_living_holder_keeps_it_beyond_its_lifetime(store: Store) -> None:
    with holding(store) as first:
        deadline = time.monotonic() + 2 * LIFETIME_S
        while time.monotonic() < deadline:
            assert beaten(first) == first.first
            time.sleep(0.5)
        assert (store.show() or {})["token"] == first.first["token"]


def test_what_is_given_back_is_free_at_once_and_tokens_rise(store: Store) -> None:
    tokens = []
    for _ in range(3):
        with holding(store, lifetime_s=60) as one:
            tokens.append(one.first["token"])
            one.say("release")
            assert one.process.wait(10) == 0
        assert store.show() is None
    assert tokens == sorted(set(tokens))
    # Also above those of a store that was lost: they began with the time.
    assert tokens[0] > 1_700_000_000


def test_a_holder_that_falls_silent_is_taken_over_within_the_lifetime(store: Store) -> None:
    with holding(store) as first:
        waited_s, token = taken_over_after_s(store)
        assert waited_s < LIFETIME_S + MARGIN_S
        assert token > first.first["token"]
        # It has ended by itself, without a word from its runner.
        assert first.process.wait(10) == 0


def test_the_program_that_is_killed_is_taken_over_within_the_lifetime(store: Store) -> None:
    with holding(store) as first:
        first.process.kill()
        waited_s, token = taken_over_after_s(store)
    assert waited_s < LIFETIME_S + MARGIN_S
    assert token > first.first["token"]


def test_a_connection_that_ends_leaves_time_to_go_on_by_another_host(store: Store) -> None:
    with holding(store, lifetime_s=10) as first:
        token = first.first["token"]
        assert first.close() == 0
        with holding(store, f"--resume={token}", lifetime_s=10) as again:
            assert again.first == {"token": token}
            assert beaten(again) == {"token": token}
            with holding(store) as second:
                assert second.first["refused"]["token"] == token
            again.say("release")
            assert again.process.wait(10) == 0
    assert store.show() is None


def test_nobody_goes_on_with_what_has_ended_or_is_somebody_elses(store: Store) -> None:
    with holding(store) as first:
        token = first.first["token"]
        first.say("release")
        first.process.wait(10)
    with holding(store, f"--resume={token}") as late:
        assert (late.first, late.process.wait(10)) == ({"gone": True}, 5)
    with holding(store, verb="deploy v2"), holding(store, f"--resume={token}") as late:
        assert late.first["refused"]["verb"] == "deploy v2"
        assert late.process.wait(10) == 5


def test_one_member_that_is_away_disturbs_nobody(store: Store) -> None:
    with holding(store, lifetime_s=30) as first, store.silent(ADDRESSES[2]):
        assert beaten(first) == first.first
        first.say("release")
        first.process.wait(10)


def test_without_a_majority_nothing_is_taken_and_what_is_held_may_wait_for_it(store: Store) -> None:
    with holding(store, lifetime_s=30) as first:
        with store.silent(*ADDRESSES[1:]):
            first.say("beat")
            assert "etcd does not answer" in first.answer()["away"]
            with holding(store) as second:
                assert second.first == {}
                assert second.process.wait(10) == 1
                assert second.faults().startswith("lease: etcd does not answer: 127.0.0.1: ")
        first.say("beat")
        assert first.answer() == first.first
        first.say("release")
        first.process.wait(10)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return lock


@pytest.mark.parametrize(("last", "now", "token"), [(0, 1000.9, 1000), (1000, 1000.9, 1001), (2000, 1000.0, 2001)])
def test_a_token_rises_also_while_the_clock_does_not(program: ModuleType, last: int, now: float, token: int) -> None:
    assert program.next_token(last, now) == token


@pytest.fixture(scope="module")
def fence() -> ModuleType:
    return slots_fence


def test_the_newest_change_is_remembered_and_may_write_again(fence: ModuleType) -> None:
    state = {"active": "blue"}
    first = fence.fenced(state, 7)
    assert first == {"active": "blue", "fence": 7}
    assert fence.fenced(first, 7) == first
    assert fence.fenced(first, 8)["fence"] == 8
    assert state == {"active": "blue"}


@pytest.mark.parametrize("token", [6, 0])
def test_an_older_change_is_refused_and_told_by_which_one(fence: ModuleType, token: int) -> None:
    with pytest.raises(Fault, match=rf"a newer change \(token 7\) has taken over from this one \(token {token}\)"):
        fence.fenced({"fence": 7}, token)

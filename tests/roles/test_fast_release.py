"""Whether a dead leader's key may go before its lease ends: the decision, and what it reads from Patroni's keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import pytest

from tests.policy import POLICY
from till_host.database import leader_key, leader_key_decision

AFTER_S = 3.0


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return leader_key_decision


@pytest.fixture
def well(program: ModuleType) -> Any:
    """alpha leads, bravo is its synchronous copy."""
    return program.Cluster(
        leader="alpha", term=7, lease=1, address="192.0.2.1", sync_leader="alpha", sync_standbys=("bravo",),
        sync_revision=8, strict=True,
    )  # fmt: skip


def heard(
    program: ModuleType, silent_s: float = 3.1, observer: str = "ops", leader: str = "alpha", term: int = 7
) -> Any:
    return program.Silence(observer, leader, term, silent_s)


def test_it_goes_when_the_copy_and_one_more_host_hear_nothing(program: ModuleType, well: Any) -> None:
    to_release, why = program.decide("bravo", well, 3.2, [heard(program)], AFTER_S)
    assert to_release
    assert why == "alpha has been silent for 3.2 s here, 3.1 s at ops; bravo is its synchronous copy"


@pytest.mark.parametrize(
    ("silent_s", "others", "words"),
    [
        (2.9, [{}], "3 s are needed"),
        (3.2, [], "no other host says so"),
        (3.2, [{"silent_s": 2.9}], "no other host says so"),
        (3.2, [{"leader": "bravo"}], "no other host says so"),
        (3.2, [{"term": 6}], "no other host says so"),
        (3.2, [{"observer": "bravo"}], "no other host says so"),
        (3.2, [{"observer": "alpha"}], "no other host says so"),
    ],
)
def test_it_stays_without_a_second_witness_of_the_same_silence(
    program: ModuleType, well: Any, silent_s: float, others: list[dict[str, Any]], words: str
) -> None:
    to_release, why = program.decide("bravo", well, silent_s, [heard(program, **one) for one in others], AFTER_S)
    assert not to_release
    assert words in why


@pytest.mark.parametrize(
    ("changed", "me", "words"),
    [
        ({"leader": ""}, "bravo", "nobody leads"),
        ({"leader": "bravo"}, "bravo", "leads itself"),
        ({"strict": False}, "bravo", "may lack acknowledged payments"),
        ({"paused": True}, "bravo", "paused"),
        ({"moving": True}, "bravo", "a move of the leader is under way"),
        ({"sync_standbys": ("ops",)}, "bravo", "not the synchronous copy of alpha: ops is"),
        ({"sync_standbys": ()}, "bravo", "nobody is"),
        ({"sync_leader": "bravo"}, "bravo", "not the synchronous copy"),
        ({}, "ops", "not the synchronous copy"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_it_stays_where_a_payment_could_be_lost_also_when_a_person_asks(
    program: ModuleType, well: Any, changed: dict[str, Any], me: str, words: str, asked: bool
) -> None:
    seen = replace(well, **changed)
    to_release, why = program.decide(me, seen, 60.0, [heard(program, 60.0), heard(program, 60.0, "x")], AFTER_S, asked)
    assert not to_release
    assert words in why


def test_a_person_stands_for_the_second_witness_and_the_time(program: ModuleType, well: Any) -> None:
    assert program.decide("bravo", well, 0.0, [], AFTER_S, asked=True)[0]


def test_a_cluster_is_read_from_patronis_keys(program: ModuleType, well: Any) -> None:
    def key(value: Any, created: int = 1, changed: int = 1, lease: int = 0) -> Any:
        return program.Key(value if isinstance(value, str) else json.dumps(value), created, changed, lease)

    keys = {
        "leader": key("alpha", created=7, lease=1),
        "sync": key({"leader": "alpha", "sync_standby": "bravo", "quorum": 0}, changed=8),
        "config": key({"synchronous_mode": True, "synchronous_mode_strict": True, "pause": None}),
        "members/alpha": key({"api_url": "https://192.0.2.1:8008/patroni"}),
        "members/bravo": key({"api_url": "https://192.0.2.2:8008/patroni"}),
    }
    assert program.cluster(keys) == well
    assert program.cluster({**keys, "failover": key({"leader": "alpha"})}).moving
    assert not program.cluster({**keys, "failover": key("{}")}).moving
    assert not program.cluster({**keys, "config": key({"synchronous_mode": True})}).strict
    assert program.cluster({**keys, "sync": key("")}).sync_standbys == ()
    assert program.cluster({}) == program.Cluster()


def test_policy_leaves_a_slow_host_time_to_answer() -> None:
    slowest = POLICY["fast_release_doubt_s"] + POLICY["fast_release_probe_timeout_s"]
    assert POLICY["fast_release_probe_interval_s"] < POLICY["fast_release_doubt_s"]
    assert slowest < POLICY["fast_release_after_s"] < POLICY["postgres_ttl_s"]


class Probed:
    """Three servers of a leader's host; each counts its questions, and can fall silent."""

    def __init__(self) -> None:
        self.asked, self.silent = [0, 0, 0], [False, False, False]
        self.servers = [self._serve(number) for number in range(3)]
        self.urls = [f"http://{{address}}:{server.server_port}/" for server in self.servers]

    def _serve(self, number: int) -> ThreadingHTTPServer:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                self.asked[number] += 1
                if self.silent[number]:
                    time.sleep(LONG_S)
                    return
                handler.send_response(503)
                handler.end_headers()

            def log_message(handler, *_: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


LONG_S = 3
WITHIN_S = 20


@pytest.fixture
def probed() -> Iterator[Probed]:
    probed = Probed()
    yield probed
    for server in probed.servers:
        server.shutdown()
        server.server_close()


def test_one_probe_is_asked_while_it_answers_and_the_others_before_its_host_counts_as_silent(probed: Probed) -> None:
    settings = {
        "probes": probed.urls, "probe_interval_s": 0.1, "probe_timeout_s": 0.5, "tick_interval_s": 0.05, "doubt_s": 1.0,
    }  # fmt: skip
    heard = leader_key.Heard(settings, "alpha", "127.0.0.1")
    try:
        wait_for(lambda: probed.asked[0] >= 5)
        assert probed.asked[1:] == [0, 0] and heard.silent_s() < settings["doubt_s"]
        probed.silent[0] = True
        wait_for(lambda: probed.asked[1] >= 1 and probed.asked[2] >= 1)
        # The others' answers say that the host lives.
        time.sleep(2 * settings["doubt_s"])
        assert heard.silent_s() < 2 * settings["doubt_s"]
        probed.silent[:] = [True, True, True]
        wait_for(lambda: heard.silent_s() > 3 * settings["doubt_s"])
    finally:
        heard.end()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""Slots of a host: who gets how much of the traffic, who stays where, and what a crash leaves."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.roles.conftest import EMPTY, POLICY
from till_host.faults import Fault
from till_host.slots import edge as slots_edge
from till_host.slots import program as switching
from till_host.slots import state as slots_state

BOTH = {
    **EMPTY, "active": "blue", "blue": "v1.0.0", "green": "v1.1.0", "digests": {"blue": "one", "green": "two"},
    "sticky": {"blue": ["checkout"]},
}  # fmt: skip


@pytest.fixture
def slots(host: Path) -> ModuleType:
    return slots_state


@pytest.fixture
def edge(host: Path) -> ModuleType:
    return slots_edge


@pytest.mark.parametrize(
    ("there", "wanted", "told"),
    [
        ({"blue": 100, "green": 0}, {"blue": 75, "green": 25}, ["green 25", "blue 75"]),
        ({"blue": 0, "green": 100}, {"blue": 1, "green": 99}, ["blue 1", "green 99"]),
        ({"blue": 75, "green": 25}, {"blue": 0, "green": 100}, ["green 100", "blue 0"]),
        ({"blue": 25, "green": 75}, {"blue": 0, "green": 100}, ["green 100", "blue 0"]),
        ({"blue": 75, "green": 25}, {"blue": 75, "green": 25}, []),
        ({}, {"blue": 100, "green": 0}, ["blue 100", "green 0"]),
    ],
)
def test_who_gains_traffic_is_told_before_who_loses_it(
    edge: ModuleType, there: dict[str, int], wanted: dict[str, int], told: list[str]
) -> None:
    assert edge.weighed(there, wanted) == [f"set server app/{one.replace(' ', ' weight ')}" for one in told]


def weights(text: str) -> dict[str, int]:
    lines = [line.split() for line in text.splitlines() if " weight " in line]
    return {words[1]: int(words[words.index("weight") + 1]) for words in lines}


def test_only_the_active_slot_gets_traffic(edge: ModuleType) -> None:
    state = {**EMPTY, "active": "green", "blue": "v1.0.0", "green": "v1.1.0"}
    assert weights(edge.backend(state, POLICY)) == {"blue": 0, "green": 100}
    assert weights(edge.backend(EMPTY, POLICY)) == {"blue": 0, "green": 0}


def test_a_release_that_is_tried_shares_the_traffic_in_percent(slots: ModuleType, edge: ModuleType) -> None:
    tried = slots.tried(BOTH, "green", 5, 20)
    assert weights(edge.backend(tried, POLICY)) == {"blue": 95, "green": 5}
    assert tried["active"] == "blue" and tried["canary"]["until"] > time.time() + 15
    assert slots.shares(slots.tried(BOTH, "green", 100, 20)) == {"blue": 0, "green": 100}


def test_a_slot_without_a_release_is_not_checked_and_each_has_its_own_path(edge: ModuleType) -> None:
    text = edge.backend({**EMPTY, "blue": "v1.0.0", "checks": {"blue": "/well"}}, POLICY)
    assert "uri /well" in text and "uri /up" in text
    disabled = [line.split()[1] for line in text.splitlines() if line.endswith(" disabled")]
    assert disabled == ["green"]


def test_a_release_tells_its_metrics_by_its_own_path_or_not_at_all(edge: ModuleType) -> None:
    blue, green = edge.backend({**BOTH, "metrics": {"blue": "/told"}}, POLICY).split("backend check_green")
    assert "set-path /told" in blue and "return status 404" not in blue
    assert "return status 404" in green


def test_files_of_one_release_are_asked_of_the_serving_one_first_and_of_the_other_too(
    slots: ModuleType, edge: ModuleType
) -> None:
    state = {**BOTH, "assets": {"blue": "/static/", "green": ""}}
    text = edge.backend(state, POLICY).partition("backend assets\n")[2].partition("\nbackend ")[0]
    assert [line.split()[1] for line in text.splitlines() if line.strip().startswith("server ")] == ["blue", "green"]
    assert "retry-on conn-failure 404" in text and "weight" not in text
    # Also while the other one is tried: nobody's first question is its.
    for after in (state, slots.tried(state, "green", 5, 20), {**state, "green": None}):
        assert edge.maps(after)[edge.ASSETS] == {"/static/": "blue"}
    assert edge.maps(slots.led(state, "green", False))[edge.ASSETS] == {"/static/": "green"}
    # Nothing is asked for by the way of a release that is gone.
    assert edge.maps({**state, "blue": None})[edge.ASSETS] == {}


def test_what_served_is_remembered_and_what_is_taken_back_is_not(slots: ModuleType) -> None:
    first = slots.led({**BOTH, "active": None, "served": ["v0.9.0"]}, "blue", False)
    assert first["served"] == ["v0.9.0", "v1.0.0"]
    both = slots.led(first, "green", False)
    assert both["served"] == ["v0.9.0", "v1.0.0", "v1.1.0"]
    assert slots.led(both, "blue", True)["served"] == ["v0.9.0", "v1.0.0"]
    # A try that ends had not served.
    assert slots.led(slots.tried(first, "green", 25, 20), "blue", True)["served"] == ["v0.9.0", "v1.0.0"]
    assert slots.led(first, None, True)["served"] == ["v0.9.0"]


def kept(slots: ModuleType, state: dict[str, Any]) -> set[tuple[str, str]]:
    """Which kinds of tokens lead to which slot."""
    every = {slots.token(state, slot, kind): kind for slot in slots.SLOTS for kind in (slots.CHECKOUT, slots.SHARED)}
    return {(every[token], slot) for token, slot in slots.tokens(state).items()}


def test_a_checkout_stays_with_the_release_that_is_left_and_a_visit_does_not(slots: ModuleType) -> None:
    tried = slots.tried(BOTH, "green", 50, 20)
    assert kept(slots, tried) == {(kind, slot) for kind in ("checkout", "shared") for slot in ("blue", "green")}
    assert kept(slots, slots.led(tried, "green", False)) == {("checkout", "blue"), ("checkout", "green")}


def test_nobody_stays_with_a_release_that_is_taken_back(slots: ModuleType) -> None:
    tried = slots.tried(BOTH, "green", 50, 20)
    assert kept(slots, slots.led(tried, "blue", True)) == {("checkout", "blue")}


def test_a_visitor_is_kept_to_a_release_only_while_two_are_served(slots: ModuleType, edge: ModuleType) -> None:
    tried = slots.tried(BOTH, "green", 50, 20)
    assert set(edge.maps(tried)[edge.GIVEN]) == {"blue.checkout", "blue.shared", "green.checkout", "green.shared"}
    assert set(edge.maps(slots.led(tried, "green", False))[edge.GIVEN]) == {"blue.checkout", "green.checkout"}


def test_tokens_follow_from_secrets_and_differ_by_slot_kind_and_release(slots: ModuleType) -> None:
    later = {**BOTH, "digests": {**BOTH["digests"], "green": "three"}}
    every = [slots.token(state, slot, kind) for state in (BOTH, later) for slot in slots.SLOTS for kind in ("a", "b")]
    # Blue's are the same in both.
    assert len(set(every)) == len(every) - 2
    assert all(len(one) == 32 and "one" not in one for one in every)


def test_a_failed_switch_leaves_the_old_state_on_disk(
    slots: ModuleType, edge: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.save(BOTH)
    edge.render(BOTH)
    # There is no HAProxy behind the socket.
    monkeypatch.setattr(edge, "runs", lambda: True)
    with pytest.raises(Fault, match="systemctl status haproxy"):
        switching.switch("green")
    with pytest.raises(Fault, match="systemctl status haproxy"):
        switching.apply(BOTH, slots.led(BOTH, "green", False))
    assert slots.load()["active"] == "blue"
    assert weights(edge.BACKEND.read_text()) == {"blue": 100, "green": 0}


def test_of_two_slots_with_one_version_the_later_deploy_is_meant(slots: ModuleType) -> None:
    both = {**EMPTY, "active": "blue", "blue": "v1.0.0", "green": "v1.0.0", "latest": "green"}
    assert switching.target(both, "v1.0.0", None) == "green"
    with pytest.raises(Fault, match="no slot holds v9"):
        switching.target(both, "v9.0.0", None)


def test_a_try_ends_when_its_lease_is_over_and_not_before(
    slots: ModuleType, edge: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed = list[float]()
    monkeypatch.setattr(switching, "arm", armed.append)
    monkeypatch.setattr(edge, "runs", lambda: False)
    slots.save(slots.tried(BOTH, "green", 25, 20))
    # A reboot has lost the timer.
    assert switching.expire() == {"changed": False}
    assert len(armed) == 1 and 15 < armed[0] <= 20
    slots.save(slots.tried(BOTH, "green", 25, -1))
    assert switching.expire() == {"changed": True}
    after = slots.load()
    assert (after["active"], after["canary"], slots.shares(after)) == ("blue", None, {"blue": 100, "green": 0})
    assert weights(edge.BACKEND.read_text()) == {"blue": 100, "green": 0}


def test_what_serves_or_is_not_there_is_not_tried(slots: ModuleType) -> None:
    for state, slot in ((BOTH, "blue"), ({**BOTH, "green": None}, "green"), ({**BOTH, "active": None}, "green")):
        slots.save(state)
        with pytest.raises(Fault, match=f"slot {slot} can't be tried"):
            switching.weigh(slot, 5, 20)


def test_a_state_from_before_tries_were_known_is_read(slots: ModuleType) -> None:
    slots.STATE.write_text('{"active": "blue", "blue": "v1.0.0", "green": null, "digests": {}, "checks": {}}')
    assert slots.shares(slots.load()) == {"blue": 100, "green": 0}
    assert slots.tokens(slots.load()) == {}
    # What serves did serve, so it stays on the disk when another one comes.
    assert slots.load()["served"] == ["v1.0.0"]

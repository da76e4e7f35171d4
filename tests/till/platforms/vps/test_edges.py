"""All edges at once: what is asked of which host, and what one that can't makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.till.rollouts import INTENTS, NEW, SESSION
from till.errors import HostUnreachable, TillError
from till.hosts import programs
from till.platforms.vps import edges as vps_edges
from till.platforms.vps.edges import Edges, Intent


class Hosts:
    """What `slots` was asked on each host; `wrong` is what a host answers instead of doing it."""

    def __init__(self) -> None:
        self.asked = list[tuple[str, ...]]()
        self.wrong = dict[str, TillError]()
        self.mends_after = 0

    def ask(self, _session: Any, host: str, program: str, *words: str, **_: Any) -> dict[str, Any]:
        assert program == "slots"
        self.asked.append((host, *words))
        if host in self.wrong and [one for one, *_ in self.asked].count(host) != self.mends_after:
            raise self.wrong[host]
        return {"from": "blue", "to": "green", "version": NEW, "cookie": "till_release=token"}


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    found = Hosts()
    monkeypatch.setattr(programs, "run_host_program", found.ask)
    return found


@pytest.fixture
def edges() -> Edges:
    return Edges(SESSION, 7)


def test_only_hosts_with_an_edge_are_asked_and_each_once(hosts: Hosts, edges: Edges) -> None:
    assert edges.intend(version=NEW) == INTENTS
    assert sorted(hosts.asked) == [
        (name, "intend", "--fence=7", f"--version={NEW}", "--slot=") for name in ("alpha", "bravo")
    ]


DOES = {
    "end": lambda edges: edges.end(),
    "intend": lambda edges: edges.intend(version=NEW),
    "weigh": lambda edges: edges.weigh(INTENTS, 5, 20),
    "switch": lambda edges: edges.promote(INTENTS),
    "switch back": lambda edges: edges.revert(INTENTS),
    "drain": lambda edges: edges.drain(),
}


@pytest.mark.parametrize("verb", DOES)
def test_one_edge_that_can_not_is_named_after_all_were_asked(hosts: Hosts, edges: Edges, verb: str) -> None:
    hosts.wrong["bravo"] = TillError("bravo: no room in the map", "till status lab")
    with pytest.raises(TillError, match="bravo: no room in the map") as raised:
        DOES[verb](edges)
    assert type(raised.value) is TillError and raised.value.next_command == "till status lab"
    assert sorted(words[0] for words in hosts.asked) == ["alpha", "bravo"]


def test_of_several_wrong_edges_each_is_named_and_one_that_is_away_gives_the_kind(hosts: Hosts, edges: Edges) -> None:
    hosts.wrong = {"alpha": TillError("alpha: no"), "bravo": HostUnreachable("host bravo can't be reached")}
    with pytest.raises(HostUnreachable, match="alpha: no; host bravo can't be reached"):
        edges.promote(INTENTS)


def test_what_writes_is_fenced_and_what_waits_needs_not_be(hosts: Hosts, edges: Edges) -> None:
    for does in DOES.values():
        does(edges)
    assert {words[1] for words in hosts.asked if "--fence=7" not in words} == {"drain"}


def test_a_share_is_given_only_where_both_releases_are(hosts: Hosts, edges: Edges) -> None:
    first = {**INTENTS, "bravo": replace(INTENTS["bravo"], old_slot=None)}
    edges.weigh(first, 25, 20)
    same = {**INTENTS, "alpha": replace(INTENTS["alpha"], old_slot="green")}
    edges.weigh(same, 50, 7.5)
    assert hosts.asked == [
        ("alpha", "weigh", "--fence=7", "green", "25", "20"),
        ("bravo", "weigh", "--fence=7", "green", "50", "7.5"),
    ]


def test_the_way_back_is_gone_where_the_new_one_was_led_to_and_drops_everybody(hosts: Hosts, edges: Edges) -> None:
    edges.revert({"alpha": Intent(None, "green", NEW, ""), "bravo": Intent("green", "green", NEW, "")})
    assert hosts.asked == [("alpha", "switch", "--fence=7", "none", "--drop")]


def test_on_the_way_back_an_edge_that_refuses_is_asked_again_and_the_others_are_not(
    hosts: Hosts, edges: Edges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vps_edges, "AGAIN_S", 0.01)
    hosts.wrong["bravo"] = TillError("bravo: HAProxy does not run here")
    hosts.mends_after = 3
    edges.revert(INTENTS, 20)
    assert [words[0] for words in sorted(hosts.asked)] == ["alpha", *["bravo"] * 3]


def test_on_the_way_back_an_edge_that_is_away_is_not_waited_for(hosts: Hosts, edges: Edges) -> None:
    hosts.wrong["bravo"] = HostUnreachable("host bravo can't be reached")
    with pytest.raises(HostUnreachable):
        edges.revert(INTENTS, 20)
    assert len(hosts.asked) == 2


@pytest.mark.parametrize("drop", [False, True])
def test_a_promotion_keeps_checkouts_unless_told_otherwise(hosts: Hosts, edges: Edges, drop: bool) -> None:
    edges.promote(INTENTS, drop=drop)
    assert [("--drop" in words) for words in hosts.asked] == [drop, drop]

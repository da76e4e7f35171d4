"""The preferred site leads again by itself where policy says so, and never in a ping-pong."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.contract import Contract
from tests.fleet.answers import RESOLVER, Answers
from tests.fleet.conftest import STACK, container, inside, till
from tests.fleet.database import home, leader, leads, members, switch_over, third_view, until
from tests.fleet.places import first, other_edge
from tests.fleet.told import Told
from till.recovery import promotion_target

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.timeout(1200)]
SETTINGS, UNIT = "/etc/till/failback.json", "till-failback"
# Policy's own time is a quarter of an hour.
AFTER_S = 12
# A copy that follows anew is synchronous after some of Patroni's loops; the time it must be well; a move.
MOVES_WITHIN_S = AFTER_S + 150
# The link drops so often, for so long each time: shorter than the hold-down and Patroni's lease, longer than a check.
DROPS, DROP_S, BETWEEN_S = 8, 4, 4
# Longer than what the last drop may cause, shorter than all of them: the way back after them is no ping-pong.
AFTER_DROPS_S = 40
# Every packet of every other host, both ways: as netem at a loss of all, but on kernels without it, too. Ends itself.
DROPPING = f"""
for n in $(seq {DROPS}); do
    nft -f - <<'RULES'
    add table inet drops
    add chain inet drops input {{ type filter hook input priority -300; iif != lo drop; }}
    add chain inet drops output {{ type filter hook output priority -300; oif != lo drop; }}
RULES
    sleep {DROP_S}; nft delete table inet drops; sleep {BETWEEN_S}
done
"""


@pytest.fixture(autouse=True)
def settled(lab: Contract) -> Iterator[None]:
    """Well, and led by the first site: before and after."""
    home(lab)
    yield
    home(lab)


@contextmanager
def automatic(lab: Contract, after_s: float) -> Iterator[str]:
    """Failback by itself on the preferred site's host, as a provision with that policy would have it."""
    host = first(lab)
    before = inside(host, f"cat {SETTINGS}")
    settings = json.loads(before)
    settings["policy"] |= {"automatic": True, "after_s": after_s}
    settings["interval_s"] = 1
    write(host, json.dumps(settings))
    inside(host, f"systemctl restart {UNIT}")
    try:
        yield host
    finally:
        inside(host, f"systemctl stop {UNIT}")
        write(host, before)


def write(host: str, text: str) -> None:
    subprocess.run(
        ["docker", "exec", "--interactive", container(host), "tee", SETTINGS],
        input=text, text=True, check=True, capture_output=True, timeout=30,
    )  # fmt: skip


def state(host: str) -> dict[str, object]:
    return dict(json.loads(inside(host, "/opt/till-host/current/bin/failback state")))


def taken_away(lab: Contract) -> str:
    """The leader moves to the other site, not by a person's verb; the host that leads now."""
    old = leader(lab)
    new = other_edge(lab, old)
    synchronous = {"name": new, "role": "sync_standby"}.items()
    until("no synchronous copy", lambda: any(synchronous <= one.items() for one in members()))
    switch_over(old, new)
    until(f"{new} does not lead", lambda: leads(lab) == new)
    return new


def test_what_a_person_moved_stays_what_was_lost_comes_back_and_a_relapse_is_the_last(lab: Contract) -> None:
    told, other = Told(), next(site for site in promotion_target.sites(lab) if site != promotion_target.preferred(lab))
    with automatic(lab, AFTER_S) as host:
        code, moved, messages = till("failover", STACK, "--to", other)
        assert code == 0, (moved, messages[-2000:])
        time.sleep(AFTER_S + 15)
        assert leader(lab) != host
        assert f"a person moved the leader to site {other}" in str(state(host)["held"])
        # A person says: as at first. What follows moves without one.
        assert till("failback", STACK)[0] == 0
        assert state(host)["held"] == ""
        lost_at, _ = time.time(), taken_away(lab)
        until("the first site does not lead again", lambda: leads(lab) == host, MOVES_WITHIN_S)
        print(f"{host} leads again after {time.time() - lost_at:.1f} s, of which it was to be well for {AFTER_S} s")
        told.wait("failback", 30, "is to lead again, by policy")
        until("the move is not remembered", lambda: float(str(state(host)["moved_at"])) > lost_at, 30)
        # It loses the lead again soon: that was the last move.
        taken_away(lab)
        told.wait("failback", 60, "Failback stays manual: the lead was lost again")
        time.sleep(AFTER_S + 15)
        assert leader(lab) != host
        assert "was lost again" in str(state(host)["held"])
    assert till("failback", STACK)[0] == 0
    assert state(host)["held"] == ""


def test_a_link_that_drops_every_few_seconds_moves_the_leader_and_the_names_once_at_most(lab: Contract) -> None:
    """Also where policy has the leader come back by itself; where it does not, one mover less is there."""
    host = first(lab)
    told = Told()
    with Answers(lab) as answers:
        began, leaders = time.time(), [leader(lab)]
        subprocess.run(["docker", "exec", "--detach", container(host), "sh", "-c", DROPPING], check=True, timeout=30)
        try:
            with automatic(lab, AFTER_DROPS_S):
                watched(lab, leaders, began)
        finally:
            inside(host, "pkill -f '[a]dd table inet drops' || true; nft delete table inet drops 2>/dev/null || true")
        story = answers.story(began)
    starts = [one.title for one in told.all("start")]
    print(f"told were {[one.title for one in told.all()]}")
    # The host behind the link sees everybody else gone, and says nothing of it.
    assert len(starts) <= 1
    assert all(f"Site {promotion_target.preferred(lab)} is lost" in one for one in starts)
    print(f"link of {host} gone {DROPS} times: leaders {leaders}, names {story}")
    assert len(leaders) <= 2
    # The nameserver beside the link knows of no drop of its own, and a resolver hears this one and that one (ADR 16).
    assert all(len(told) <= 2 for who, told in story.items() if who not in (RESOLVER, host)), story
    assert answers.sites(began) - {"silence"} <= set(promotion_target.sites(lab))


def watched(lab: Contract, leaders: list[str], began: float) -> None:
    """Who leads, one after the other, until the drops and what they may cause are over."""
    while time.time() - began < DROPS * (DROP_S + BETWEEN_S) + 15:
        now = third_view()
        if now and now != leaders[-1]:
            leaders.append(now)
        time.sleep(1)

"""The leader is moved to the other site and back while customers pay: nothing fails, nothing is lost, names follow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.contract import Contract
from tests.fleet.answers import RESOLVER, Answers
from tests.fleet.conftest import STACK, inside, till, till_begun
from tests.fleet.database import PATRONICTL, PSQL, follows_closely, home, leader, leads, until, well_again
from tests.fleet.faults import fault
from tests.fleet.load import Load
from tests.fleet.places import edges, other_edge, site_of
from tests.fleet.reconcile import reconciled
from till.changes import journal
from till.hosts.session import open_session
from till.observe import replication
from till.paths import journal_file

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]
MOVES = 10
BEFORE_S = 8
AFTER_S = 8
# A TTL after the nameservers, and what a busy machine adds.
RESOLVER_SLACK_S = 45
# The aim is 3 s, and 1.7 s were measured; a busy machine adds to them.
WRITE_PAUSE_MAX_S = 20
SWITCHOVER = "/opt/till-host/current/bin/switchover"


@pytest.fixture
def settled(lab: Contract) -> Iterator[None]:
    """A fleet that is well and led by its first site, before the test and again after it."""
    home(lab)
    yield
    home(lab)


def moved(lab: Contract, *verb: str) -> tuple[dict[str, Any], Load, float]:
    """A move under load; what it said, what the buyers say, how long until the resolver followed."""
    with Answers(lab) as answers, Load(lab) as load:
        time.sleep(BEFORE_S)
        began = time.time()
        code, told, messages = till(verb[0], STACK, *verb[1:])
        assert code == 0, (told, messages[-3000:])
        followed = answers.switched(told["to_site"], began, RESOLVER_SLACK_S)
        time.sleep(AFTER_S)
        load.stop()
        assert answers.sites(began) - {"silence"} <= {told["from_site"], told["to_site"]}
    print(
        f"{' '.join(verb)}: {len(load.acknowledged)} payments acknowledged, {load.failed} failed, longest time between "
        f"two {load.longest_gap_s(began)} s; write_pause_s {told['write_pause_s']}, promoted_s {told['promoted_s']}, "
        f"synchronous_s {told['synchronous_s']}, dns_switch_s {told['dns_switch_s']}, rto_s {told['rto_s']}; "
        f"names followed after {followed} s; failures {load.failures}"
    )
    return told, load, followed[RESOLVER]


@pytest.mark.usefixtures("settled")
def test_a_planned_move_and_the_way_back_fail_no_payment(lab: Contract) -> None:
    first, other = successive(lab)
    for verb, site in ((("failover", "--to", other), other), (("failback",), first)):
        told, load, _ = moved(lab, *verb)
        assert site_of_leader(lab) == told["to_site"] == site
        assert len(load.acknowledged) > BEFORE_S
        reconciled(lab, load)
        assert load.failures == []
        assert told["write_pause_s"] <= WRITE_PAUSE_MAX_S
        assert told["order"]["payment_status"] == "completed"
        entry = journal.read(journal_file(STACK))[-1]
        assert (entry["verb"], entry["ok"], entry["to_site"]) == (verb[0], True, site)
        assert entry["promoted_s"] == told["promoted_s"]
        well_again(lab, 120)


@pytest.mark.matrix
@pytest.mark.usefixtures("settled")
def test_ten_moves_in_a_row_each_leave_a_healthy_cluster(lab: Contract) -> None:
    first, other = successive(lab)
    pauses = []
    for number in range(MOVES):
        verb = ["failback", STACK] if number % 2 else ["failover", STACK, "--to", other]
        code, told, messages = till(*verb)
        assert code == 0, (number, told, messages[-3000:])
        assert site_of_leader(lab) == (first if number % 2 else other)
        pauses.append(told["write_pause_s"])
        well_again(lab, 60)
    print(f"write pauses of {MOVES} moves in a row (s): {pauses}")


@pytest.mark.matrix
@pytest.mark.usefixtures("settled")
def test_a_copy_that_is_a_moment_behind_is_waited_for(lab: Contract) -> None:
    _, other = successive(lab)
    copy = next(edge for edge in edges(lab) if site_of(lab, edge) == other)
    # Patroni itself ends a pause of the replay.
    startup = "-f '[p]ostgres: .*startup' || true"
    resume = f"pkill -CONT {startup}"
    with fault(copy, f"pkill -STOP {startup}", resume):
        inside(leader(lab), f"{PSQL} \"SELECT pg_logical_emit_message(false, 'till-test', repeat('x', 4000000))\"")
        until("Patroni does not tell how far the copy is behind", lambda: lag_mb(lab, copy) > 1, 60)
        with till_begun("failover", STACK, "--to", other) as asked:
            assert asked.stdout is not None and asked.stderr is not None
            assert any(f"{copy} lags " in line for line in asked.stderr), asked.stdout.read()
            inside(copy, resume)
            told = json.loads(asked.communicate(timeout=300)[0])
    assert (asked.returncode, told.get("to_site")) == (0, other), told


@pytest.mark.matrix
@pytest.mark.usefixtures("settled")
def test_a_repository_that_hangs_holds_a_move_up_once(lab: Contract) -> None:
    _, other = successive(lab)
    # Its port takes connections, and nothing answers: the system does that for a program that stands still.
    with fault("ops", "pkill -STOP -x pgbackrest", "pkill -CONT -x pgbackrest"):
        code, told, messages = till("failover", STACK, "--to", other)
    assert code == 0, (told, messages[-3000:])
    print(f"with a repository that hangs: write_pause_s {told['write_pause_s']}, promoted_s {told['promoted_s']}")
    assert told["write_pause_s"] <= WRITE_PAUSE_MAX_S


@pytest.mark.usefixtures("settled")
def test_already_there_changes_nothing_and_writes_nothing(lab: Contract) -> None:
    first, _ = successive(lab)
    entries = len(journal.read(journal_file(STACK)))
    for verb in (["failover", STACK, "--to", first], ["failback", STACK]):
        code, told, _ = till(*verb)
        assert (code, told["ok"], told["changed"], told["to_site"]) == (0, True, False, first)
    assert len(journal.read(journal_file(STACK))) == entries


@pytest.mark.matrix
@pytest.mark.usefixtures("settled")
def test_a_site_that_is_not_well_is_refused_and_the_old_one_leads_on(lab: Contract) -> None:
    _, other = successive(lab)
    before = leader(lab)
    host = next(edge for edge in edges(lab) if site_of(lab, edge) == other)
    for unit, words in (("haproxy", "no edge of site"), ("patroni", "no copy that could lead")):
        with fault(host, f"systemctl stop {unit}", f"systemctl start {unit}"):
            code, told, _ = till("failover", STACK, "--to", other)
            assert code == 3, told
            assert words in told["error"]
            assert leads(lab) == before
    code, told, _ = till("failover", STACK, "--to", "nowhere")
    assert code == 2
    assert f"--to {site_of_leader(lab)}" in told["next"]


@pytest.mark.matrix
@pytest.mark.usefixtures("settled")
def test_a_no_of_the_host_or_of_patroni_is_told_and_nothing_moves(lab: Contract) -> None:
    before, (_, other) = leader(lab), successive(lab)
    follows_closely(before, other_edge(lab, before))
    told = json.loads(inside("ops", f"{SWITCHOVER} {before} 30"))
    assert told == {"refused": f"ops is not the synchronous copy of {before}"}
    with fault("ops", f"{PATRONICTL} pause --wait", f"{PATRONICTL} resume --wait"):
        code, refused, _ = till("failover", STACK, "--to", other)
        assert code == 3, refused
        assert f"{before} still leads, Patroni says: " in refused["error"]
        assert "paused" in refused["error"], refused
        assert leads(lab) == before


def successive(lab: Contract) -> tuple[str, str]:
    """The first site and the next one that has an edge."""
    first, other, *_ = dict.fromkeys(site_of(lab, edge) for edge in edges(lab))
    return first, other


def site_of_leader(lab: Contract) -> str:
    return site_of(lab, leader(lab))


def lag_mb(lab: Contract, name: str) -> float:
    with open_session(lab) as session:
        lag = next(
            one["lag_mb"] for one in replication.read_replication_status(session)["members"] if one["name"] == name
        )
    return float(lag) if isinstance(lag, (int, float)) else 0.0

"""A leader that is dead, cut off, half cut off, frozen or slow: who leads then, and that no payment is lost or forked.

Beside the buyers, writers on every database host write to their own copy alone: what two sides acknowledged is seen.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from infra.contract import Contract, Role
from tests.fleet.answers import RESOLVER, Answers
from tests.fleet.conftest import inside
from tests.fleet.database import PSQL, elected, follows_closely, leader, leads, well_again
from tests.fleet.faults import cut, destroyed, fault, paused, slowed
from tests.fleet.load import Load
from tests.fleet.places import address, copies, other_edge, site_of
from tests.fleet.reconcile import reconciled
from tests.fleet.writes import Writes
from tests.policy import POLICY

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.timeout(1800)]
UNIT = "till-lease-release"
BEFORE_S = 6
# From PostgreSQL's answer until a writer on a busy machine has noted the time.
NOTED_WITHIN_S = 3
# Longer than Patroni's lease, so that nothing is healed before it would have ended.
FAULT_S = POLICY["postgres_ttl_s"] + 10
SLOW_CORES = 0.1
ETCD_PORTS = "2379, 2380"


def said(lab: Contract, since: float) -> list[str]:
    """What the watches of all hosts said after that time, each with its host."""
    found = []
    for host in copies(lab):
        lines = inside(host, f"journalctl -u {UNIT} -o cat --since @{since:.0f}").splitlines()
        found += [f"{host}: {line}" for line in lines if "released" in line]
    return found


def released(lab: Contract, since: float) -> list[str]:
    return [line for line in said(lab, since) if ": released: " in line]


def test_a_dead_leaders_key_goes_before_its_lease(lab: Contract, before: str) -> None:
    follows_closely(before, other_edge(lab, before))
    with Answers(lab) as answers, Load(lab) as load:
        time.sleep(BEFORE_S)
        with destroyed(before) as at:
            after = elected(lab, before)
            followed = answers.switched(site_of(lab, after), at, 30, before)
            time.sleep(15)
            load.stop()
    well_again(lab)
    print(f"payments acknowledged {len(load.acknowledged)}, failed {load.failed}; longest time without one "
          f"{load.longest_gap_s(at)} s; names followed {followed}, the resolver after {followed[RESOLVER]} s; "
          f"{said(lab, at)}; failures {load.failures}")  # fmt: skip
    assert len(released(lab, at)) == 1, said(lab, at)
    assert released(lab, at)[0].startswith(f"{after}: ")
    assert load.acknowledged and max(load.acknowledged.values()) > at
    reconciled(lab, load)


def test_without_it_the_lease_ends_by_itself(lab: Contract, before: str) -> None:
    hosts = [before, *copies(lab, before)]
    with Load(lab) as load, ExitStack() as stopped:
        for host in hosts:
            stopped.enter_context(fault(host, f"systemctl stop {UNIT}", f"systemctl start {UNIT}"))
        time.sleep(BEFORE_S)
        with destroyed(before) as at:
            elected(lab, before)
            elected_s = time.time() - at
            time.sleep(10)
            load.stop()
    well_again(lab)
    print(
        f"without release: elected after {elected_s:.1f} s, longest time without a payment {load.longest_gap_s(at)} s"
    )
    assert released(lab, at) == []
    assert elected_s > POLICY["postgres_ttl_s"] / 2
    reconciled(lab, load)


def test_two_sides_of_a_partition_never_both_acknowledge(lab: Contract, before: str) -> None:
    others = copies(lab, before)
    with Writes(before, before, *others) as writes:
        time.sleep(BEFORE_S)
        with cut(before, *[address(lab, name) for name in others]) as at:
            stands_at = time.time()
            after = elected(lab, before)
            time.sleep(max(0.0, at + FAULT_S - time.time()))
    well_again(lab)
    # What was written just before is noted a moment later.
    told = {host: len(writes.after(host, stands_at + NOTED_WITHIN_S)) for host in writes.hosts}
    print(f"acknowledged after the cut: {told}; {said(lab, at)}")
    assert len(released(lab, at)) == 1, said(lab, at)
    assert told[before] == 0
    assert writes.after(after, at) != []
    assert writes.missing(leader(lab)) == set()
    writes.drop(leader(lab))


def test_a_frozen_leader_that_thaws_forks_nothing(lab: Contract, before: str) -> None:
    with Load(lab, limit_s=150) as load, Writes(before, before, *copies(lab, before)) as writes:
        time.sleep(BEFORE_S)
        with paused(before) as at:
            after = elected(lab, before)
            time.sleep(max(0.0, at + FAULT_S - time.time()))
        thawed_at = time.time()
        time.sleep(10)
        load.stop()
    well_again(lab)
    print(f"acknowledged by {before} after the thaw: {writes.after(before, thawed_at)}; {said(lab, at)}")
    assert len(released(lab, at)) == 1, said(lab, at)
    assert writes.after(after, at) != []
    assert writes.missing(leader(lab)) == set()
    reconciled(lab, load)
    writes.drop(leader(lab))


def test_a_leader_that_loses_sight_of_its_copy_only_goes_on_leading(lab: Contract, before: str) -> None:
    copy = next(name for name in copies(lab, before) if name != "ops")
    with Writes(before, before, copy) as writes:
        time.sleep(BEFORE_S)
        with cut(before, address(lab, copy)) as at:
            time.sleep(FAULT_S)
            assert leads(lab) == before
            resumed = writes_now(before)
    assert resumed
    assert released(lab, at) == [], said(lab, at)
    well_again(lab)
    assert writes.missing(leader(lab)) == set()
    assert writes.after(copy, 0) == []
    writes.drop(leader(lab))


def test_a_leader_that_loses_the_store_only_steps_down_by_its_lease(lab: Contract, before: str) -> None:
    stores = [host.address for host in lab.hosts if Role.ETCD in host.roles and host.name != before]
    with Writes(before, before, *copies(lab, before)) as writes:
        time.sleep(BEFORE_S)
        with cut(before, *stores, ports=ETCD_PORTS) as at:
            after = elected(lab, before)
            time.sleep(max(0.0, at + FAULT_S - time.time()))
    well_again(lab)
    assert released(lab, at) == [], said(lab, at)
    assert writes.after(after, at) != []
    assert writes.missing(leader(lab)) == set()
    writes.drop(leader(lab))


def test_a_slow_leader_loses_and_forks_nothing_whoever_leads_then(lab: Contract, before: str) -> None:
    with Load(lab) as load, Writes(before, before, *copies(lab, before)) as writes:
        time.sleep(BEFORE_S)
        with slowed(before, SLOW_CORES) as at:
            time.sleep(FAULT_S)
        load.stop()
    well_again(lab)
    print(f"{before} with {SLOW_CORES} cores: {leads(lab)} leads, {len(load.acknowledged)} payments, {load.failed} "
          f"failed; {said(lab, at)}")  # fmt: skip
    assert writes.missing(leader(lab)) == set()
    reconciled(lab, load)
    writes.drop(leader(lab))


def writes_now(host: str) -> bool:
    """Whether a write is acknowledged there within a few seconds."""
    written = "SELECT pg_logical_emit_message(true, 'till-test', '')"
    return inside(host, f'timeout 10 {PSQL} "{written}" >/dev/null && echo yes') != ""

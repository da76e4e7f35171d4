"""What breaks beside the leader: what must happen then, and that it does."""

from __future__ import annotations

import time

import pytest

from infra.contract import Contract, Role
from tests.fleet.answers import RESOLVER, Answers
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import (
    PSQL,
    elected,
    follows_closely,
    leader,
    leads,
    store_leads_on,
    until,
    waited_for,
    well_again,
    write_wal,
)
from tests.fleet.faults import cut, destroyed, fault, paused
from tests.fleet.load import Load
from tests.fleet.places import address, edges, other_edge, site_of
from tests.fleet.reconcile import reconciled
from tests.fleet.writes import Writes
from tests.policy import POLICY

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.timeout(1800)]
LOAD_S, WINDOWS = 10, 3
STORE_RETURNS_WITHIN_S = 90
# A hold-down, a TTL, and what a busy machine adds.
NAMES_WITHIN_S = POLICY["nameserver_hold_down_s"] + 60
DATA = "/var/lib/postgresql/15/till"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
SKEW_S = 600
FULL_DISK_SEGMENTS, SEGMENT_MB = 8, POLICY["postgres_wal_segment_mb"]


def test_both_sites_down_leave_no_majority_and_nothing_is_acknowledged_or_lost(lab: Contract, before: str) -> None:
    sites = [before, other_edge(lab, before)]
    with Writes(before, *sites, "ops") as writes:
        time.sleep(LOAD_S)
        with destroyed(*sites) as at:
            time.sleep(POLICY["postgres_ttl_s"])
            assert leads(lab) == ""
            code, told, _ = till("failover", STACK, "--to", site_of(lab, sites[1]), "--force")
            assert code == 3, told
            assert "1 of 3 members of the consensus store are left (ops)" in told["error"], told
            code, told, _ = till("status", STACK)
            assert code == 1
            assert any("no database leads" in one for one in told["faults"]), told["faults"]
    well_again(lab)
    assert writes.after("ops", 0) == []
    assert all(when < at for _, when in writes.acknowledged.values())
    assert writes.missing(leader(lab)) == set()
    writes.drop(leader(lab))


def test_without_ops_customers_notice_nothing(lab: Contract, before: str) -> None:
    follows_closely(before, other_edge(lab, before))
    for _ in range(WINDOWS):
        with Answers(lab) as settled:
            settled.switched(site_of(lab, before), time.time(), NAMES_WITHIN_S)
        with Answers(lab) as answers, Load(lab) as load, paused("ops") as at:
            time.sleep(POLICY["postgres_ttl_s"] + LOAD_S)
            load.stop()
            resolved = answers.sites(at, RESOLVER)
            answered = answers.sites(at + 1)
            still = inside(before, f"{PSQL} 'SELECT pg_is_in_recovery()'").strip()
        print(f"without ops: {len(load.acknowledged)} payments, {load.failed} failed, longest time without one "
              f"{load.longest_gap_s(at)} s; failures {load.failures}")  # fmt: skip
        assert still == "f"
        assert load.failures == []
        reconciled(lab, load)
        # Names leave a site whose health comes late, with ops or without; such a window says nothing of ops.
        if not came_late(lab, site_of(lab, before), at):
            break
    assert resolved == {site_of(lab, before)}
    assert answered == {site_of(lab, before), "silence"}
    # Meanwhile another member led etcd.
    until("ops does not lead the consensus store again", lambda: store_leads_on("ops"), STORE_RETURNS_WITHIN_S)


def came_late(lab: Contract, site: str, since: float) -> bool:
    """Whether a nameserver that is there found a site not well."""
    journal = f"journalctl -u till-site-order -o cat --since @{since:.0f}"
    return any(f"{site} is not well" in inside(host, journal) for host in edges(lab))


def test_with_one_nameserver_down_names_are_answered_and_the_fault_is_told(lab: Contract, before: str) -> None:
    with Answers(lab) as answers, fault(before, "systemctl stop pdns", "systemctl start pdns"):
        began = time.time()
        time.sleep(POLICY["nameserver_record_ttl_s"] + 5)
        code, told, _ = till("status", STACK)
        assert code == 1
        assert any(one.startswith(f"nameserver {before} ") for one in told["faults"]), told["faults"]
        assert till("smoke", STACK)[0] == 0
        assert answers.sites(began, RESOLVER) <= {host.site for host in lab.hosts if Role.EDGE in host.roles}


def test_a_stale_copy_is_not_promoted(lab: Contract, before: str) -> None:
    stale = other_edge(lab, before)
    with Writes(before, before, "ops", limit_s=300) as writes, cut(stale, address(lab, before)):
        until("ops is not waited for", lambda: "ops" in waited_for(before), 60)
        time.sleep(LOAD_S)
        write_wal(lab, 3)
        code, told, _ = till("failover", STACK, "--to", site_of(lab, stale))
        assert code == 3, told
        with destroyed(before):
            after = elected(lab, before)
            time.sleep(LOAD_S)
    assert after == "ops"
    well_again(lab)
    assert writes.after("ops", 0) != []
    assert writes.missing(leader(lab)) == set()
    writes.drop(leader(lab))


def test_a_full_disk_on_the_copy_stops_no_payment(lab: Contract, before: str) -> None:
    copy = other_edge(lab, before)
    # Room for the WAL that is written below, twice: filled by a file of its own, and enough again without that.
    small = (
        "set -e; systemctl stop patroni; mkdir -p /mnt/small"
        f"; size=$(( $(du -sm {DATA} | cut -f1) + {2 * FULL_DISK_SEGMENTS * SEGMENT_MB} ))"
        f"; mount -t tmpfs -o size=${{size}}m,mode=700 small /mnt/small; cp -a {DATA}/. /mnt/small/"
        f"; chown postgres:postgres /mnt/small; mount --bind /mnt/small {DATA}; systemctl start patroni"
    )
    heal = f"systemctl stop patroni; umount {DATA}; umount /mnt/small; systemctl start patroni"
    with fault(copy, small, heal):
        well_again(lab)
        with Load(lab) as load:
            time.sleep(LOAD_S / 2)
            inside(copy, f"dd if=/dev/zero of={DATA}/filler bs=1M 2>/dev/null; true")
            filled_at = time.time()
            write_wal(lab, FULL_DISK_SEGMENTS)
            until("the fault is not told", lambda: told_of(copy), 60)
            time.sleep(LOAD_S)
            load.stop()
        assert leads(lab) == before
        print(f"full disk on {copy}: {len(load.acknowledged)} payments, {load.failed} failed, longest time without one "
              f"{load.longest_gap_s(filled_at)} s; failures {load.failures}")  # fmt: skip
        assert max(load.acknowledged.values()) > filled_at + LOAD_S
        reconciled(lab, load)
        inside(copy, f"rm -f {DATA}/filler")
        well_again(lab)


def told_of(copy: str) -> bool:
    return any(f"the copy on {copy} is" in one for one in till("status", STACK)[1]["faults"])


def test_a_clock_that_is_ten_minutes_off_changes_nothing(lab: Contract, before: str) -> None:
    copy = other_edge(lab, before)
    drop_in = "/etc/systemd/system/patroni.service.d/skew.conf"
    variables = f"LD_PRELOAD={FAKETIME} FAKETIME=+{SKEW_S}s FAKETIME_DONT_FAKE_MONOTONIC=1"
    ahead = (
        f"set -e; apt-get update -qq; apt-get install -y -qq libfaketime >/dev/null; mkdir -p $(dirname {drop_in})"
        f"; printf '[Service]\\nEnvironment={variables}\\n' >{drop_in}"
        "; systemctl daemon-reload; systemctl restart patroni"
    )
    # By its clock Patroni takes a postmaster of the other time for somebody else's, and leaves it running.
    mended = (
        f"rm -r $(dirname {drop_in}); systemctl daemon-reload; systemctl stop patroni"
        "; pkill -KILL -u postgres -x postgres; systemctl start patroni"
    )
    with fault(copy, ahead, mended):
        well_again(lab)
        off = float(inside(copy, f"{PSQL} 'SELECT extract(epoch FROM clock_timestamp())'")) - time.time()
        assert abs(off - SKEW_S) < 30
        follows_closely(before, copy)
        with Load(lab, limit_s=240) as load:
            time.sleep(LOAD_S)
            with destroyed(before) as at:
                after = elected(lab, before)
                until("nothing is bought", lambda: max(load.acknowledged.values()) > at, 90)
                load.stop()
        assert after == copy
        well_again(lab)
        reconciled(lab, load)
        # The host whose clock is right leads again, before the other one's Patroni is started anew.
        assert till("failover", STACK, "--to", site_of(lab, before))[0] == 0


def test_a_repository_that_is_away_slows_no_promotion(lab: Contract, before: str) -> None:
    port = str(POLICY["policy_pgbackrest_port"])
    everybody = [host.address for host in lab.hosts if host.name != "ops"]
    with Load(lab, limit_s=240) as load:
        time.sleep(LOAD_S / 2)
        with cut("ops", *everybody, ports=port), destroyed(before) as at:
            after = elected(lab, before)
            elected_s = time.time() - at
            until("nothing is bought", lambda: max(load.acknowledged.values()) > at, 90)
            load.stop()
    well_again(lab)
    print(f"{after} led {elected_s:.1f} s after leader and repository went away")
    # A restore_command that waits for its host would take minutes; a lease, and what a busy machine adds, do not.
    assert elected_s < 4 * POLICY["postgres_ttl_s"]
    reconciled(lab, load)

"""Whatever ends a failover drill, no fault stays; what refuses one, and what its key opens."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.contract import Contract
from tests.fleet.conftest import STACK, container, inside, till
from tests.fleet.database import until
from tests.fleet.drills import FAULT_S, ROAD, UNIT, begun, breakable, policy, traces, unwell
from tests.fleet.faults import fault
from tests.fleet.places import edges, first

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.timeout(1200)]
KILLED_FAULT_S = 60
OTHER_WORDS = ("id", "", "'fault status; id'", "'cat /etc/patroni/patroni.yml'", "-s sftp", "-N -L 9:127.0.0.1:22")


@pytest.fixture(autouse=True)
def ready(lab: Contract) -> Iterator[None]:
    with breakable(lab):
        yield


def test_a_drill_that_is_killed_leaves_no_fault(lab: Contract) -> None:
    with policy(fault_s={**FAULT_S, "edge-kill": KILLED_FAULT_S}), begun(lab, "edge-kill") as asked:
        began = time.monotonic()
        inside("ops", f"systemctl kill --kill-whom=all --signal=KILL {UNIT}")
        # Before its own time is over: the unit heals it.
        until(lambda: f"a fault stays: {traces(lab)}", lambda: traces(lab) == {}, KILLED_FAULT_S / 2)
        assert time.monotonic() - began < KILLED_FAULT_S - 5
        told = json.loads(asked.communicate(timeout=60)[0])
    assert asked.returncode == 1 and "left no result" in told["error"]
    inside("ops", f"systemctl reset-failed {UNIT}")


def test_a_fault_heals_by_itself_when_nobody_is_left_to_heal_it(lab: Contract) -> None:
    other = edges(lab)[1]
    for kind, sign in (("edge-kill", "haproxy"), ("site-partition", "till_fault")):
        # Nobody hears how it ends: who asked is cut off, too.
        inside(
            "ops",
            f"rm -f /tmp/begun; {ROAD} {other} fault begin {kind} --for 8 >/tmp/begun 2>&1 & "
            "timeout 20 sh -c 'until grep -q begins /tmp/begun; do sleep 0.1; done'",
        )
        # It is said before it stands.
        signs = "nft list tables; systemctl --failed --no-legend; ls /run/systemd/system"
        until(f"no {sign}", lambda sign=sign, signs=signs: sign in inside(other, signs), 5)
        refused = inside(other, "/opt/till-host/current/bin/fault begin dns-kill --for 5 2>&1 || true")
        assert f"{kind} stands already" in refused
        until("it does not heal itself", lambda: traces(lab) == {}, 60)


def test_the_drills_key_opens_nothing_else(lab: Contract) -> None:
    assert json.loads(inside("ops", f"{ROAD} {first(lab)} fault status")) == {"fault": None, "restoring": False}
    # Those that get neither a shell nor an end are ended; all at once, for they wait.
    with ThreadPoolExecutor(len(OTHER_WORDS)) as pool:
        for words, done in zip(OTHER_WORDS, pool.map(lambda words: asked_of(lab, words), OTHER_WORDS), strict=True):
            assert done.returncode != 0 and "uid=0" not in done.stdout and done.stdout == "", (words, done)


def asked_of(lab: Contract, words: str) -> subprocess.CompletedProcess[str]:
    """What a host answers to the drills' key; an option stands before the host."""
    place = f"{words} {first(lab)}" if words.startswith("-") else f"{first(lab)} {words}"
    command = ["docker", "exec", container("ops"), "sh", "-c", f"timeout 10 {ROAD} {place}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_fleet_that_is_not_well_is_refused_and_nothing_is_broken(lab: Contract) -> None:
    drills = inside("ops", "ls /var/lib/till/drills")
    other = edges(lab)[1]
    with fault(other, "systemctl stop haproxy", "systemctl start haproxy"):
        until("its edge is seen as well", lambda: unwell() != [], 20)
        code, told, _ = till("drill", "failover", STACK, "--fault", "host-kill")
        assert code == 3 and f"{other} answers nothing" in told["error"], told
        # The one that the calendar begins looks for itself.
        inside("ops", f"systemctl start {UNIT} || true")
        assert "refused" in inside("ops", f"journalctl -u {UNIT} -n 20 -o cat")
        inside("ops", f"systemctl reset-failed {UNIT}")
    assert inside("ops", "ls /var/lib/till/drills") == drills
    assert traces(lab) == {}


def test_outside_of_the_window_only_a_reason_opens_and_ctrl_c_heals(lab: Contract) -> None:
    closed = {"days": [], "from": "02:00", "to": "05:00", "time_zone": "Asia/Muscat"}
    with policy(window=closed):
        code, told, _ = till("drill", "failover", STACK, "--fault", "dns-kill")
        assert code == 5 and "Asia/Muscat" in told["error"] and "--override REASON" in told["next"]
        with begun(lab, "dns-kill", "--override", "a test") as asked:
            asked.send_signal(signal.SIGINT)
            told = json.loads(asked.communicate(timeout=60)[0])
    assert asked.returncode == 130 and "healed" in told["error"]
    assert traces(lab) == {}
    until("it goes on", lambda: inside("ops", f"systemctl show -P ActiveState {UNIT}").strip() == "inactive", 60)

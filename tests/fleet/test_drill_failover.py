"""Failover drills on a fleet that sells: every kind of fault through the verb, and none that ever stays."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.contract import Contract, Role
from tests.fleet.conftest import STACK, container, inside, till
from tests.fleet.database import leader, until
from tests.fleet.faults import fault
from till import journal
from till.paths import CHECKOUT, VENV_BIN, journal_file
from till.thresholds import host_policy, thresholds

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(600)]
LIMITS = thresholds()["drill_failover"]["limits"]
RTO_LIMIT = {True: "rto_max_s", False: "rto_on_lease_max_s"}
# What a busy machine adds to a time; the verb itself judges by the limits alone.
BUSY_S = 15
FAULT_S = host_policy()["failover_drill_fault_s"]
UNIT = "till-drill-failover.service"
PROGRAM = "/usr/local/lib/till/drill-failover"
ROAD = "ssh -F /etc/till/drill-failover.ssh"
# What is left of each kind on a host: nothing must be.
TRACES = (
    "cat /var/lib/till/fault.json 2>/dev/null; nft list table inet till_fault 2>/dev/null; "
    "systemctl is-enabled haproxy pdns | grep -v '^enabled'; "
    "systemctl is-active haproxy pdns patroni | grep -v '^active'; "
    "systemctl list-timers --no-legend till-fault-heal.timer; true"
)


@pytest.fixture(autouse=True)
def ready(lab: Contract) -> Iterator[None]:
    """A fleet that a drill may break, led by its first site, before each test; no trace of a fault after it."""
    if leader(lab) != first(lab):
        assert till("failback", STACK)[0] == 0
    until("the fleet is not well", lambda: unwell() == [], 180)
    yield
    until(f"a fault stays: {traces(lab)}", lambda: traces(lab) == {}, FAULT_S["host-kill"] + 60)


def first(lab: Contract) -> str:
    return next(host.name for host in lab.hosts if Role.EDGE in host.roles)


def unwell() -> list[str]:
    return list(json.loads(inside("ops", f"{PROGRAM} look"))["unwell"])


def traces(lab: Contract) -> dict[str, str]:
    """What of a fault is still on hosts with an edge, by host."""
    found = {host.name: inside(host.name, TRACES).strip() for host in lab.hosts if Role.EDGE in host.roles}
    return {host: told for host, told in found.items() if told}


def held(kind: str) -> dict[str, Any]:
    """A drill through the verb, and what is true of every kind, however busy the machine is."""
    code, told, messages = till("drill", "failover", STACK, "--fault", kind)
    print(f"{kind}: exit code {code}, " + ", ".join(f"{key} {told.get(key)}" for key in SHOWN))
    assert told["fault"] == kind, (told, messages[-3000:])
    assert told["acknowledged_payments"] > FAULT_S[kind] / 3
    assert (told["lost_payments"], told["duplicated_payments"], told["charged_without_order"]) == (0, 0, 0)
    # Times may be above their limits on a busy machine, and nothing else may be wrong.
    reasons = [one for one in str(told.get("reason", "")).split("; ") if one]
    assert all(one.startswith(("rto_s is ", "dns_switch_s is ")) for one in reasons), told
    assert (code == 0) == told["ok"] == (reasons == [])
    return told


SHOWN = (
    "detected_s", "dns_switch_s", "promoted_s", "rto_s", "failback_s", "acknowledged_payments", "failed_requests",
    "charged_unacknowledged", "well_s", "duration_s", "reason",
)  # fmt: skip


def test_a_killed_host_costs_seconds_and_no_payment(lab: Contract) -> None:
    started = inside(first(lab), "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
    told = held("host-kill")
    assert inside(first(lab), "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1") != started
    assert 0 < told["detected_s"] <= told["dns_switch_s"] <= LIMITS["dns_switch_max_s"] + BUSY_S
    assert 0 < told["promoted_s"] <= told["rto_s"] <= LIMITS[RTO_LIMIT[told["fast_release"]]] + BUSY_S
    # The host was silent all the time, and came back after it.
    assert FAULT_S["host-kill"] < told["well_s"]
    assert told["failed_requests"] > 0
    assert told["failback_s"] > 0 and told["new_leader"] != first(lab)
    assert leader(lab) == first(lab)
    page = Path(told["report"]).read_text()
    assert page.count("<circle") == told["purchases"] and "host-kill" in page
    entry = [one for one in journal.read(journal_file(STACK)) if one["verb"] == "drill failover"][-1]
    assert (entry["name"], entry["ok"], entry["rto_s"]) == (told["name"], told["ok"], told["rto_s"])
    metrics = inside("ops", "cat /var/lib/prometheus/node-exporter/till-drill-failover.prom")
    assert f'till_drill_last_ok{{drill="failover"}} {int(told["ok"])}' in metrics
    assert f'till_drill_rto_seconds{{drill="failover"}} {told["rto_s"]:g}' in metrics
    code, listed, _ = till("drill", "list", STACK)
    assert code == 0 and listed["drills"][-1]["name"] == told["name"] and "requests" not in listed["drills"][-1]


def test_a_site_that_is_cut_off_acknowledges_nothing_that_is_lost(lab: Contract) -> None:
    told = held("site-partition")
    assert told["promoted_s"] > 0 and told["failback_s"] > 0
    assert leader(lab) == first(lab)


def test_a_killed_database_comes_back_or_another_leads(lab: Contract) -> None:
    told = held("db-kill")
    assert told["rto_s"] is not None
    assert (told["promoted_s"] is None) == (told["failback_s"] is None)
    assert leader(lab) == first(lab)


def test_a_killed_edge_is_left_by_names_and_the_leader_stays(lab: Contract) -> None:
    told = held("edge-kill")
    assert told["detected_s"] > 0 and told["dns_switch_s"] > 0
    assert (told["promoted_s"], told["failback_s"], told["new_leader"]) == (None, None, first(lab))


def test_a_killed_nameserver_moves_nothing(lab: Contract) -> None:
    told = held("dns-kill")
    assert (told["promoted_s"], told["failback_s"]) == (None, None)
    who = f"nameserver {first(lab)}"
    page = Path(told["report"]).read_text()
    assert who in page and "silence" in json.dumps(events()[-1][who])


def events() -> list[dict[str, list[str]]]:
    """What each server told in each drill that the host remembers, in order."""
    program = (
        "import glob, json, sys\n"
        "for path in sorted(glob.glob('/var/lib/till/drills/failover-*.json')):\n"
        "    told = {}\n"
        "    for one in json.load(open(path)).get('events', []):\n"
        "        told.setdefault(one['who'], []).append(one['what'])\n"
        "    print(json.dumps(told))\n"
    )
    return [json.loads(line) for line in inside("ops", f'python3 -c "{program}"').splitlines()]


def begun(lab: Contract, kind: str) -> subprocess.Popen[str]:
    """A drill by a till of its own, in the middle of its fault."""
    asked = subprocess.Popen(
        [str(VENV_BIN / "till"), "drill", "failover", STACK, "--fault", kind, "--json"],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until("the fault does not begin", lambda: "fault.json" in stands(lab) or asked.poll() is not None, 60)
    assert asked.poll() is None, asked.communicate()
    return asked


def stands(lab: Contract) -> str:
    return inside(first(lab), "ls /var/lib/till")


def test_a_drill_that_is_killed_leaves_no_fault(lab: Contract) -> None:
    with begun(lab, "edge-kill") as asked:
        began = time.monotonic()
        inside("ops", f"systemctl kill --kill-whom=all --signal=KILL {UNIT}")
        until(f"a fault stays: {traces(lab)}", lambda: traces(lab) == {}, 15)
        # Its own time was not over yet: the unit healed it.
        assert time.monotonic() - began < FAULT_S["edge-kill"] - 2
        told = json.loads(asked.communicate(timeout=60)[0])
    assert asked.returncode == 1 and "left no result" in told["error"]
    inside("ops", f"systemctl reset-failed {UNIT}")


def test_ctrl_c_heals(lab: Contract) -> None:
    with begun(lab, "dns-kill") as asked:
        asked.send_signal(signal.SIGINT)
        told = json.loads(asked.communicate(timeout=60)[0])
    assert asked.returncode == 130 and "healed" in told["error"]
    assert traces(lab) == {}
    assert inside("ops", f"systemctl show -P ActiveState {UNIT}").strip() in ("inactive", "failed")


def test_a_fault_heals_by_itself_when_nobody_is_left_to_heal_it(lab: Contract) -> None:
    other = [host.name for host in lab.hosts if Role.EDGE in host.roles][1]
    for kind, sign in (("edge-kill", "haproxy"), ("site-partition", "till_fault")):
        inside("ops", f"timeout 20 {ROAD} {other} fault begin {kind} --for 6 || true")
        assert sign in inside(other, "nft list tables; systemctl --failed --no-legend; ls /run/systemd/system")
        refused = inside(other, "/usr/local/lib/till/fault begin dns-kill --for 5 2>&1 || true")
        assert f"{kind} stands already" in refused
        until("it does not heal itself", lambda: traces(lab) == {}, 20)


def test_the_drills_key_opens_nothing_else(lab: Contract) -> None:
    assert json.loads(inside("ops", f"{ROAD} {first(lab)} fault status")) == {"fault": None, "restoring": False}
    for asked in ("id", "", "'fault status; id'", "'cat /etc/patroni/patroni.yml'", "-s sftp", "-N -L 9:127.0.0.1:22"):
        options, words = (asked, "") if asked.startswith("-") else ("", asked)
        done = subprocess.run(
            ["docker", "exec", container("ops"), "sh", "-c", f"timeout 10 {ROAD} {options} {first(lab)} {words}"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode != 0 and "uid=0" not in done.stdout and done.stdout == "", (asked, done)


def test_a_fleet_that_is_not_well_is_refused_and_nothing_is_broken(lab: Contract) -> None:
    drills = inside("ops", "ls /var/lib/till/drills")
    other = [host.name for host in lab.hosts if Role.EDGE in host.roles][1]
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

"""What tests of failover drills share: whether a fleet may be broken, what stays of a fault, what was told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till, till_begun
from tests.fleet.database import home, until
from tests.fleet.faults import fault
from tests.fleet.places import edges, first
from till.policy import host_policy

FAULT_S = host_policy()["failover_drill_fault_s"]
UNIT = "till-drill-failover.service"
PROGRAM = "/opt/till-host/current/bin/drill-failover"
POLICY, KEPT = "/etc/till/drill-failover.json", "/var/lib/till/drill-failover.kept"
ROAD = "ssh -F /etc/till/drill-failover.ssh"
# What is left of each kind on a host: nothing must be.
TRACES = (
    "cat /var/lib/till/fault.json 2>/dev/null; nft list table inet till_fault 2>/dev/null; "
    "systemctl is-enabled haproxy pdns | grep -v '^enabled'; "
    "systemctl is-active haproxy pdns patroni | grep -v '^active'; "
    "systemctl list-timers --no-legend till-fault-heal.timer; true"
)


@contextmanager
def breakable(lab: Contract) -> Iterator[None]:
    """A fleet that a drill may break, led by its first site, before the block; no trace of a fault after it.

    A drill whose verdict was no leaves its unit failed, which would be the next file's fault.
    """
    home(lab)
    until("the fleet is not well", lambda: unwell() == [], 180)
    yield
    until("a fault stays", lambda: traces(lab) == {}, FAULT_S["host-kill"] + 60)
    inside("ops", f"systemctl reset-failed {UNIT} || true")


def unwell() -> list[str]:
    """What a drill would find wrong; that it could not look is so, too."""
    try:
        return list(json.loads(inside("ops", f"{PROGRAM} look"))["unwell"])
    except subprocess.CalledProcessError as failed:
        return [failed.stderr]


def traces(lab: Contract) -> dict[str, str]:
    """What of a fault is still on hosts with an edge, by host."""
    found = {host: inside(host, TRACES).strip() for host in edges(lab)}
    return {host: told for host, told in found.items() if told}


@contextmanager
def policy(**changed: Any) -> Iterator[None]:
    """Other values in the host's policy for the time of a block."""
    program = (
        f"import json; path = '{POLICY}'; found = json.load(open(path)); "
        f"found |= json.loads({json.dumps(json.dumps(changed))}); json.dump(found, open(path, 'w'))"
    )
    with fault("ops", f"cp -p {POLICY} {KEPT} && python3 - <<'E'\n{program}\nE", f"mv {KEPT} {POLICY}"):
        yield


def events() -> list[dict[str, list[str]]]:
    """What each server told from the fault on in each drill that the host remembers, in order."""
    program = (
        "import glob, json, sys\n"
        "for path in sorted(glob.glob('/var/lib/till/drills/failover-*.json')):\n"
        "    told = {}\n"
        "    for one in json.load(open(path)).get('events', []):\n"
        "        if one['at_s'] >= 0:\n"
        "            told.setdefault(one['who'], []).append(one['what'])\n"
        "    print(json.dumps(told))\n"
    )
    return [json.loads(line) for line in inside("ops", f'python3 -c "{program}"').splitlines()]


def paid_within(since_s: float, until_s: float) -> int:
    """Purchases of the newest drill that were acknowledged within these times after its fault (s)."""
    results = "sorted(glob.glob('/var/lib/till/drills/failover-*.json'), key=os.path.getmtime)"
    program = f"import glob, json, os; print(json.dumps(json.load(open({results}[-1]))['requests']))"
    requests = json.loads(inside("ops", f'python3 -c "{program}"'))
    return sum(bool(paid) and since_s <= began_s + took_s <= until_s for began_s, took_s, paid in requests)


def held(kind: str) -> tuple[int, dict[str, Any], str]:
    """A drill through the verb that came to its end: exit code, its JSON, what it said.

    A busy machine may let one look at the fleet fail, and a drill refuses then: it is held once more.
    """
    asked = ("drill", "failover", STACK, "--fault", kind)
    code, told, messages = till(*asked)
    if "rto_s" not in told:
        print(f"{kind} was not held: exit code {code}, {told.get('error')}")
        until("the fleet is not well", lambda: unwell() == [], 180)
        code, told, messages = till(*asked)
    return code, told, messages


def begun(lab: Contract, kind: str, *options: str) -> subprocess.Popen[str]:
    """A drill by a till of its own, in the middle of its fault.

    One that was refused (see `held`) is asked for once more.
    """
    asked = _asked(kind, *options)
    if not _stands(lab, asked):
        until("the fleet is not well", lambda: unwell() == [], 180)
        asked = _asked(kind, *options)
    assert _stands(lab, asked), asked.communicate()
    return asked


def _asked(kind: str, *options: str) -> subprocess.Popen[str]:
    return till_begun("drill", "failover", STACK, "--fault", kind, *options)


def _stands(lab: Contract, asked: subprocess.Popen[str]) -> bool:
    """Whether its fault has begun; False when it ended before."""
    until("the fault does not begin", lambda: "fault.json" in stands(lab) or asked.poll() is not None, 150)
    return asked.poll() is None


def stands(lab: Contract) -> str:
    return inside(first(lab), "ls /var/lib/till")

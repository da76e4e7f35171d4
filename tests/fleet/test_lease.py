"""One change to the fleet at a time, from whichever machine: refused, taken over from the dead, and fenced off."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.contract import Contract, Role
from tests.fleet.conftest import STACK, container, inside, till
from tests.fleet.database import well_again
from tests.fleet.faults import paused
from till.changes import fleet_lock, lock_connection
from till.errors import Refused, TillError
from till.hosts.session import Session, open_session
from till.paths import CHECKOUT, VENV_BIN
from till.policy import thresholds
from till.progress import Progress

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("unwatched"), pytest.mark.timeout(1200)]
POLICY = thresholds()["lease"]
# etcd ends leases in steps of half a second, and a taking needs a connection.
MARGIN_S = 20
# A runner on another machine: it does not hold this machine's lock, and says so.
RUNNER = f"""
import sys
from till.changes import fleet_lock
from till.hosts.session import open_session
from till.stacks import stack
fleet_lock.place = lambda _: "another machine"
with open_session(stack.contract({STACK!r})) as session, \\
     fleet_lock.hold_fleet_lock(session, "deploy v7.7.7-elsewhere") as held:
    print(held.token, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def session(lab: Contract) -> Iterator[Session]:
    with open_session(lab) as place:
        free(place)
        yield place


def free(session: Session) -> None:
    """Until nobody holds the lock any more: what a test killed ends by itself."""
    deadline = time.monotonic() + POLICY["lifetime_s"] + MARGIN_S
    while told := lock_connection.read_holder(session, ()):
        assert time.monotonic() < deadline, told
        time.sleep(0.5)


@contextmanager
def elsewhere() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A runner elsewhere that holds the lock, and its token."""
    runner = subprocess.Popen(
        [str(VENV_BIN / "python"), "-c", RUNNER], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert runner.stdout is not None
        yield runner, int(runner.stdout.readline())
    finally:
        runner.kill()
        runner.wait()


def slots(host: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "exec", container(host), "/opt/till-host/current/bin/slots", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_second_machine_is_refused_and_told_who_is_first_and_since_when(session: Session) -> None:
    with elsewhere() as (_, token):
        code, told, _ = till("deploy", STACK, "v1.0.0-paypal")
        assert code == 5, told
        assert "deploy v7.7.7-elsewhere by " in told["error"]
        assert " since 20" in told["error"]
        assert f"till status {STACK}" in told["next"]
        shown = till("status", STACK)[1]["change"]
        assert (shown["verb"], shown["token"]) == ("deploy v7.7.7-elsewhere", token)
        # A repair does not need etcd, but does not step on who is alive either.
        assert till("provision", STACK, "--tags", "stack_lease")[0] == 5


@pytest.mark.matrix
def test_a_killed_holder_is_taken_over_within_the_lease_and_its_late_writes_are_refused(
    lab: Contract, session: Session
) -> None:
    with elsewhere() as (runner, zombie):
        runner.send_signal(signal.SIGKILL)
        runner.wait()
        began = time.monotonic()
        while True:
            try:
                with fleet_lock.hold_fleet_lock(session, "deploy v8.8.8-next") as held:
                    taken_s = time.monotonic() - began
                    held.check()
                    break
            except Refused:
                time.sleep(0.2)
    assert taken_s < POLICY["lifetime_s"] + MARGIN_S
    assert held.token > zombie
    # Needs `slots switch SLOT --fence TOKEN`, which checks till_fence.fenced before it changes anything.
    for host in (one.name for one in lab.hosts if Role.APP in one.roles):
        serving = json.loads(inside(host, "/opt/till-host/current/bin/slots show"))["active"]
        assert slots(host, "switch", serving, f"--fence={held.token}").returncode == 0
        late = slots(host, "switch", "none", f"--fence={zombie}")
        assert late.returncode == 1
        assert f"a newer change (token {held.token}) has taken over" in late.stderr
        assert json.loads(inside(host, "/opt/till-host/current/bin/slots show"))["active"] == serving


@pytest.mark.matrix
def test_the_next_deploy_of_this_machine_waits_for_a_killed_one(session: Session) -> None:
    command = [str(VENV_BIN / "till"), "deploy", STACK, "v1.0.0-paypal", "--json"]
    killed = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not lock_connection.read_holder(session, ()):
        assert killed.poll() is None, "it ended before it was seen to hold the lock"
        time.sleep(0.2)
    killed.kill()
    killed.wait()
    assert till("deploy", STACK, "v1.0.0-paypal")[0] == 0


@pytest.mark.matrix
def test_the_lock_goes_on_when_the_host_that_keeps_it_alive_is_gone(lab: Contract, session: Session) -> None:
    first = next(one.name for one in lab.hosts if Role.ETCD in one.roles)
    with fleet_lock.hold_fleet_lock(session, "deploy v8.8.9-next") as held:
        with paused(first):
            time.sleep(2 * POLICY["lifetime_s"])
            held.check()
        found = lock_connection.read_holder(session, ())
        assert found is not None
        assert found["token"] == held.token


@pytest.mark.matrix
def test_without_a_majority_a_deploy_does_not_begin_and_a_repair_says_that_it_goes_without(
    lab: Contract, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [one.name for one in lab.hosts if Role.ETCD in one.roles]
    stopped: list[str] = members[1:]
    told: Any = None
    try:
        for host in stopped:
            inside(host, "systemctl stop etcd.service")
        with (
            pytest.raises(TillError, match="can't be held in etcd") as told,
            fleet_lock.hold_fleet_lock(session, "deploy v8.9.0"),
        ):
            pytest.fail("it was begun")
        with fleet_lock.hold_fleet_lock(session, "failover to nowhere", Progress()) as held:
            assert held.token == 0
    finally:
        for host in stopped:
            inside(host, "systemctl start etcd.service")
    # Without a majority the database had no leader either.
    well_again(lab)
    assert "etcd does not answer" in told.value.message
    assert "only this machine's lock keeps other changes away" in capsys.readouterr().err

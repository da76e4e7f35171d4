"""The database put back as it was: asked for, refused, killed on the way, and proven each time."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime

import pytest

from infra.contract import Contract, Role
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import archived, faults, leader, until, well_told
from till.checks import purchase
from till.hosts.session import SWEEP_AFTER_S
from till.observe import probe
from till.paths import CHECKOUT, VENV_BIN
from till.progress import Progress
from till.recovery.promotion_target import sites

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]


def test_a_restore_over_a_live_database_asks_for_its_name(lab: Contract) -> None:
    code, told, _ = till("restore", STACK, "--to", "latest")
    assert code == 5
    assert "is alive on" in told["error"]
    assert f"--confirm {STACK}" in told["next"]


@pytest.mark.parametrize("to", ["yesterday", "2999-01-01T00:00:00Z", "2001-01-01T00:00:00Z"])
def test_a_target_that_cant_be_is_refused_and_the_shop_goes_on(lab: Contract, to: str) -> None:
    code, told, _ = till("restore", STACK, "--to", to, "--confirm", STACK)
    assert code == 1
    assert any(word in told["error"] for word in ("is no time", "in the future", "after the target")), told["error"]
    assert purchase.run(lab, Progress())["payment_status"] == "completed"


# What runs while a restore fetches, and while it proves what it fetched.
STEPS = ("restoring/data", "-D /var/lib/postgresql/15/restoring/data")


@pytest.mark.parametrize(
    "killed_at", [(), pytest.param(STEPS, marks=pytest.mark.matrix)], ids=["in one go", "killed on the way"]
)
def test_a_restore_goes_back_in_time(lab: Contract, killed_at: tuple[str, ...]) -> None:
    trust = probe.public_trust(lab)
    kept = purchase.run(lab, Progress())["transaction_id"]
    time.sleep(2)
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    time.sleep(2)
    gone = purchase.run(lab, Progress())["transaction_id"]
    until("WAL does not reach the repository", lambda: archived(lab))
    host = leader(lab)
    command = [str(VENV_BIN / "till"), "restore", STACK, "--to", moment, "--confirm", STACK]
    for sign in killed_at:
        with subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as run:
            until(f"no process with {sign}", lambda sign=sign: sign in inside(host, "ps -eo args | grep -v grep"), 240)
            run.kill()
        inside(host, "pkill -KILL -f '[/]restore (fetch|prove)' || true; pkill -KILL -x pgbackrest || true")
    code, told, messages = till("restore", STACK, "--to", moment, "--confirm", STACK, timeout_s=900)
    assert code == 0, (told, messages[-3000:])
    assert told["verified_rows"] > 0 and told["rto_s"] > 0
    assert purchase.order_row(lab, trust, kept) is not None
    assert purchase.order_row(lab, trust, gone) is None
    assert inside(host, "ls /var/lib/postgresql/15").split() == ["till"]
    told = well_told(90)
    assert sorted(one["role"] for one in told["database"]["members"]) == ["Leader", "Replica", "Sync Standby"], told
    until("there are faults", lambda: faults() == [], 90)


def killed(command: list[str], after: str) -> None:
    """Run a verb and SIGKILL it as soon as its messages tell of a step; what it had started is left to itself."""
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stderr is not None
        try:
            assert any(after in line for line in run.stderr), f"it ended before it told of {after!r}"
        finally:
            run.kill()
    # The next run ends what this one left, once it can't be one that is just beginning.
    time.sleep(SWEEP_AFTER_S)


@pytest.mark.matrix
def test_a_restore_that_is_killed_after_each_of_its_steps_ends_well(lab: Contract) -> None:
    trust = probe.public_trust(lab)
    kept = purchase.run(lab, Progress())["transaction_id"]
    until("WAL does not reach the repository", lambda: archived(lab))
    # Not the first one that has a database: a run that has lost its way would take that.
    site = sites(lab)[-1]
    code, told, messages = till("failover", STACK, "--to", site)
    assert code == 0, (told, messages[-3000:])
    host = leader(lab)
    assert host != next(one.name for one in lab.hosts if Role.DATABASE in one.roles)
    command = [str(VENV_BIN / "till"), "restore", STACK, "--to", "latest", "--confirm", STACK]
    for step in ("The leader", "Fetch", "Prove", "Swap", "Forget who led", "What was replaced goes", "read back"):
        killed(command, f" {step}")
    code, told, messages = till("restore", STACK, "--to", "latest", "--confirm", STACK, timeout_s=900)
    assert code == 0, (told, messages[-3000:])
    assert told["host"] == host
    assert purchase.order_row(lab, trust, kept) is not None
    assert inside(host, "ls /var/lib/postgresql/15").split() == ["till"]
    well_told(90)
    until("there are faults", lambda: faults() == [], 90)

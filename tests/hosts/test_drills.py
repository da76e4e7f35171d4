"""The failover drill: its timer as policy says, no fault that stands, and a key that opens one gate alone."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests.policy import POLICY

GATE = "/opt/till-host/current/bin/drill-gate"
ROAD = "ssh -F /etc/till/drill-failover.ssh"


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
def test_the_timer_is_as_policy_says(host: Host, machine: Machine, contract: Contract) -> None:
    calendar = POLICY["policy_drill_failover_on_calendar"][contract.environment]
    shown = machine.check_output(
        "systemctl show -p ActiveState -p UnitFileState -p NextElapseUSecRealtime till-drill-failover.timer"
    )
    facts = dict(line.split("=", 1) for line in shown.splitlines())
    wanted = ("active", "enabled") if calendar else ("inactive", "disabled")
    assert (facts["ActiveState"], facts["UnitFileState"]) == wanted
    assert (facts["NextElapseUSecRealtime"] != "") == bool(calendar)


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
def test_every_date_of_policy_is_one(host: Host, machine: Machine) -> None:
    zone = POLICY["policy_deployment_window"]["production"]["time_zone"]
    for calendar in filter(None, POLICY["policy_drill_failover_on_calendar"].values()):
        machine.check_output(f"systemd-analyze calendar '{calendar} {zone}'")


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
def test_the_key_is_roots_alone_and_passes_the_gate_of_every_other_host(
    host: Host, machine: Machine, contract: Contract
) -> None:
    key = machine.file("/etc/till/credentials/drill_ssh")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o600)
    others = [one for one in contract.hosts if Role.BACKUP_REPOSITORY not in one.roles]
    for other in others:
        assert json.loads(machine.check_output(f"{ROAD} {other.name} fault status")) == {
            "fault": None,
            "restoring": False,
        }
        refused = machine.run(f"{ROAD} {other.name} id")
        assert (refused.rc, refused.stdout) == (126, "")


@pytest.mark.roles(Role.EDGE)
def test_the_key_is_let_in_from_one_address_to_one_command(host: Host, machine: Machine, contract: Contract) -> None:
    holder = next(one for one in contract.hosts if Role.BACKUP_REPOSITORY in one.roles)
    allowed = machine.file("/etc/ssh/till-drill/authorized_keys")
    assert (allowed.user, allowed.mode) == ("root", 0o644)
    (line,) = allowed.content_string.splitlines()
    assert line.startswith(f'restrict,from="{holder.address}",command="{GATE}" ssh-ed25519 ')
    # The key is looked for when root comes from there, and never else.
    for user, address, there in (
        ("root", holder.address, True),
        ("root", "127.0.0.1", False),
        ("till", holder.address, False),
    ):
        told = machine.check_output(f"sshd -T -C user={user},host={holder.name},addr={address}")
        files = next(line for line in told.splitlines() if line.startswith("authorizedkeysfile"))
        assert ("/etc/ssh/till-drill/authorized_keys" in files) is there, (user, address)
    for program in (GATE, "/opt/till-host/current/bin/fault"):
        found = machine.file(program)
        assert (found.user, found.group, found.mode) == ("root", "root", 0o755)


@pytest.mark.roles(Role.EDGE)
def test_no_fault_stands_and_a_killed_host_would_stay_silent(host: Host, machine: Machine) -> None:
    assert json.loads(machine.check_output("/opt/till-host/current/bin/fault status"))["fault"] is None
    assert machine.run("nft list table inet till_fault").rc != 0
    assert machine.service("till-fault-hold.service").is_enabled
    assert machine.check_output("systemctl show -P Before till-fault-hold.service").split().count("sysinit.target") == 1

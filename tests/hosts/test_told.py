"""People can be told from every host, nothing waits, and who decides on a failback is as policy says."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests.policy import POLICY
from till.recovery import promotion_target


def test_every_host_delivers_and_nothing_waits(host: Host, machine: Machine) -> None:
    assert machine.service("till-notify.path").is_enabled
    assert machine.service("till-notify.path").is_running
    waiting = machine.check_output("find /var/lib/till-notify/spool -name '*.json' -mmin +5")
    assert waiting == ""
    told = machine.check_output("stat -c '%a %U %G' /var/lib/till-notify/spool /var/lib/till-notify/told")
    assert set(told.splitlines()) == {"2750 till-notify till-notify"}


def test_channels_are_the_stacks_and_apprise_understands_them(host: Host, machine: Machine, contract: Contract) -> None:
    assert json.loads(machine.check_output("cat /etc/till/credentials/notify.json")) == contract.channels()
    assert machine.run("/opt/till-host/current/bin/notify check").rc == 0
    assert machine.check_output("stat -c '%a %U %G' /etc/till/credentials/notify.json") == "600 root root"


@pytest.mark.roles(Role.NAMESERVER)
def test_the_fleet_is_watched_from_every_nameservers_host(host: Host, machine: Machine) -> None:
    unit = machine.service("till-watch.service")
    assert unit.is_enabled
    assert unit.is_running
    assert machine.check_output("systemctl show -P User till-watch.service") == "till-notify"


@pytest.mark.roles(Role.MONITORING)
def test_alerts_reach_the_same_channels(host: Host, machine: Machine) -> None:
    assert machine.service("till-alerts.service").is_running
    route = "amtool config routes test --config.file /etc/prometheus/alertmanager.yml"
    assert f"http://127.0.0.1:{POLICY['policy_alerts_port']}/" in machine.check_output(
        "cat /etc/prometheus/alertmanager.yml"
    )
    assert machine.check_output(f"{route} alertname=DrillFailed") == "people"
    # The watch tells it, from the hosts that are left.
    assert machine.check_output(f"{route} alertname=HostDown") == "none"


@pytest.mark.roles(Role.DATABASE)
def test_failback_is_as_policy_says(host: Host, machine: Machine, contract: Contract) -> None:
    state = json.loads(machine.check_output("/opt/till-host/current/bin/failback state"))
    automatic = POLICY["failback_policy"] == "automatic"
    assert (state["policy"]["automatic"], state["policy"]["after_s"]) == (automatic, POLICY["failback_after_s"])
    preferred = host.site == promotion_target.preferred(contract) and Role.EDGE in host.roles
    assert machine.service("till-failback.service").is_running == (automatic and preferred)

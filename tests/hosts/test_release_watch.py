"""The first hour of a release can be watched, and the watch can reach every edge for nothing but slots."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from till.policy import thresholds

ROAD = "ssh -F /etc/till/release-watch.ssh"


@pytest.mark.roles(Role.MONITORING)
def test_it_goes_on_after_a_reboot_and_judges_by_policy(host: Host, machine: Machine) -> None:
    assert machine.service("till-release-watch.service").is_enabled
    assert "watch" in json.loads(machine.check_output("/opt/till-host/current/bin/release-watch show"))
    settings = json.loads(machine.check_output("cat /etc/till/release-watch.json"))
    assert settings["thresholds"]["watch"] == thresholds()["watch"]


@pytest.mark.roles(Role.MONITORING)
def test_it_reaches_every_edge_for_slots_alone(host: Host, machine: Machine, contract: Contract) -> None:
    for edge in (one.name for one in contract.hosts if Role.EDGE in one.roles):
        assert "active" in json.loads(machine.check_output(f"{ROAD} {edge} slots show"))
        assert machine.run(f"{ROAD} {edge} id").rc == 126
    assert machine.check_output("stat -c '%a %U' /etc/till/credentials/release_watch_ssh") == "600 root"


@pytest.mark.roles(Role.EDGE)
def test_its_key_is_bound_to_its_host_and_its_gate(host: Host, machine: Machine, contract: Contract) -> None:
    address = next(one.address for one in contract.hosts if Role.MONITORING in one.roles)
    (line,) = machine.check_output("cat /etc/ssh/till-watch/authorized_keys").splitlines()
    assert line.startswith(f'restrict,from="{address}",command="/opt/till-host/current/bin/watch-gate" ssh-ed25519 ')

"""What a host opens: to everyone, to the stack's own hosts, and to nobody."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import jinja2
from testinfra.host import Host as Machine

from infra.contract import Host
from tests.policy import POLICY

SSH_PORT = "tcp/22"
# Longer than any answer of a host on its way; a dropped packet is never answered.
DROPPED_AFTER_S = 1.5


def ports(table: str, host: Host) -> set[str]:
    groups = ["fleet", *(role.value for role in host.roles)]
    named = {port for group in groups for port in POLICY[table].get(group, [])}
    # A port that others need, too, stands there by its name.
    return {jinja2.Template(port).render(POLICY) for port in named}


def test_policy_listens_outside_loopback_and_nothing_else(host: Host, machine: Machine) -> None:
    found = set()
    for line in machine.check_output("ss -lntuH").splitlines():
        fields = line.split()
        address, _, port = fields[4].rpartition(":")
        if not address.startswith(("127.", "[::1]")):
            found.add(f"{fields[0]}/{port}")
    wanted = ports("policy_public_ports", host) | ports("policy_fleet_ports", host)
    assert found - {SSH_PORT, f"tcp/{host.port}"} == wanted


def test_firewall_drops_what_is_not_named(host: Host, machine: Machine) -> None:
    rules = machine.check_output("nft list table inet till")
    assert rules.count("policy drop") == 2
    for port in ports("policy_public_ports", host):
        assert f"{port.replace('/', ' dport ')} accept" in rules
    for port in ports("policy_fleet_ports", host):
        assert f"ip saddr @fleet {port.replace('/', ' dport ')} accept" in rules


def test_internal_ports_are_closed_to_this_machine(host: Host, machine: Machine) -> None:
    """Who is not of the fleet gets no answer, not even a refusal."""

    def answers(port: str) -> bool:
        try:
            socket.create_connection((host.address, int(port.partition("/")[2])), timeout=DROPPED_AFTER_S).close()
        except TimeoutError:
            return False
        except ConnectionRefusedError:
            return True
        return True

    closed = sorted(ports("policy_fleet_ports", host))
    with ThreadPoolExecutor(len(closed) or 1) as pool:
        answered = [port for port, did in zip(closed, pool.map(answers, closed), strict=True) if did]
    assert answered == []

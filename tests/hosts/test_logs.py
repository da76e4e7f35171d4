"""Logs: every event reaches the log store, under its severity, over mutual TLS; kept as long as policy says."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role

from .test_network import POLICY

STORE = "/var/log/till-store"
# By syslog's number, from "emerg" to "debug".
SEVERITIES = {
    "emerg": "critical",
    "alert": "critical",
    "crit": "critical",
    "err": "error",
    "warning": "info",
    "notice": "info",
    "info": "info",
    "debug": "debug",
}
ARRIVES_WITHIN_S = 10
CLOCKS_DIFFER_AT_MOST_S = 60
# The place is noted after some events, and a busy host logs a few more while it is asked.
WAITING_AT_MOST = 50
PORT = POLICY["policy_fleet_ports"]["log_store"][0].partition("/")[2]
OPEN = "relp_version=0\\nrelp_software=till\\ncommands=syslog"
# Opens a RELP session as a client and prints what the receiver answers; nothing when it closed.
CLIENT = f"""
import socket, ssl, sys
context = ssl.create_default_context(cafile='/etc/till/pki/ca.pem')
if len(sys.argv) > 3: context.load_cert_chain(sys.argv[2], sys.argv[3])
told = b''
try:
    with socket.create_connection((sys.argv[1], {PORT}), timeout=5) as raw:
        with context.wrap_socket(raw, server_hostname=sys.argv[1]) as line:
            said = b'{OPEN}'
            line.sendall(b'1 open %d %s\\n' % (len(said), said))
            told = line.recv(500)
except OSError as reason:
    print(type(reason).__name__, file=sys.stderr)
print(told[:6].decode(), end='')
"""


def stores(contract: Contract) -> list[Host]:
    return [host for host in contract.hosts if Role.LOG_STORE in host.roles]


def senders(host: Host, contract: Contract) -> list[str]:
    return [f"till-log-ship@{store.name}.service" for store in stores(contract) if store.name != host.name]


def opens(machine: Machine, store: Host, certificate: str = "", key: str = "") -> str:
    """What the receiver of a store answers to a host that opens a session."""
    return machine.run(f'python3 -c "{CLIENT}" {store.name} {certificate} {key}').stdout


def marked(machine: Machine, mark: str) -> list[tuple[str, dict[str, str]]]:
    """Path and event of each line that `logger` wrote; sudo may tell its command line too."""
    lines = machine.run(f"grep -r --include='*.jsonl' {mark} {STORE}").stdout.splitlines()
    found = [(path, json.loads(text)) for path, _, text in (line.partition(":") for line in lines)]
    return [(path, event) for path, event in found if event["program"] == "till-verify"]


def test_senders_run_without_root_and_nothing_waits(host: Host, machine: Machine, contract: Contract) -> None:
    for unit in senders(host, contract):
        assert machine.check_output(f"systemctl is-active {unit}") == "active"
        assert machine.check_output(f"systemctl is-enabled {unit}") == "enabled"
        assert machine.check_output(f"ps -o user= -p $(systemctl show -p MainPID --value {unit})") == "till-logs"
        place = f"/var/lib/till-log-ship/{unit.partition('@')[2].removesuffix('.service')}/cursor"
        waiting = (
            f'journalctl --quiet --after-cursor="$(cat {place})" --lines=1000 --output=json --output-fields=PRIORITY'
        )
        deadline = time.monotonic() + ARRIVES_WITHIN_S
        while (count := len(machine.check_output(waiting).splitlines())) > WAITING_AT_MOST:
            assert time.monotonic() < deadline, f"{count} events wait on {host.name}"
            time.sleep(0.5)
    assert machine.run("systemctl is-enabled rsyslog.service").stdout.strip() == "masked"


def test_every_severity_arrives_in_its_place(
    host: Host, machine: Machine, contract: Contract, machines: dict[str, Machine]
) -> None:
    mark = f"till-verify-{uuid.uuid4().hex}"
    before = datetime.now(UTC)
    machine.check_output("; ".join(f"logger -t till-verify -p user.{name} '{mark} {name}'" for name in SEVERITIES))
    for store in stores(contract):
        deadline = time.monotonic() + ARRIVES_WITHIN_S
        while len(found := marked(machines[store.name], mark)) < len(SEVERITIES):
            assert time.monotonic() < deadline, f"of {len(SEVERITIES)} events these came: {found}"
            time.sleep(0.2)
        days = {before.date().isoformat(), datetime.now(UTC).date().isoformat()}
        for path, event in found:
            told = datetime.fromisoformat(event["time"])
            assert told.utcoffset() == timedelta(0)
            assert abs((told - before).total_seconds()) < CLOCKS_DIFFER_AT_MOST_S
            assert (event["host"], event["message"]) == (host.name, f"{mark} {event['severity']}")
            assert event["unit"]
            assert path in {f"{STORE}/{SEVERITIES[event['severity']]}/{host.name}/{day}.jsonl" for day in days}
        assert {event["severity"] for _, event in found} == set(SEVERITIES)


def test_only_the_stacks_hosts_may_send(host: Host, machine: Machine, contract: Contract) -> None:
    for store in stores(contract):
        assert opens(machine, store, "/etc/till/pki/host.pem", "/etc/till/pki/host.key") == "1 rsp "
        assert opens(machine, store) == ""
        forged = "/run/till-forged"
        try:
            machine.check_output(
                f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={host.name} -addext"
                f" subjectAltName=DNS:{host.name} -keyout {forged}.key -out {forged}.pem 2>/dev/null"
            )
            assert opens(machine, store, f"{forged}.pem", f"{forged}.key") == ""
        finally:
            machine.check_output(f"rm -f {forged}.key {forged}.pem")


@pytest.mark.roles(Role.LOG_STORE)
def test_retention_is_the_policys(host: Host, machine: Machine) -> None:
    policy = json.loads(machine.file("/etc/till/logs/retention.json").content_string)
    for name in ("kept_days", "max_mb", "file_max_mb"):
        assert policy[name] == POLICY[f"logs_{name}"]
    timer = machine.check_output(
        "systemctl show -p TimersMonotonic -p NextElapseUSecMonotonic till-log-retention.timer"
    )
    assert f"OnUnitActiveUSec={POLICY['logs_retention_interval_min']}min" in timer
    assert "NextElapseUSecMonotonic=infinity" not in timer
    assert machine.check_output("systemctl show -p Result --value till-log-retention.service") == "success"
    # Nothing stands there that its age should have removed.
    due = machine.check_output("/opt/till-host/current/bin/log-retention --check").splitlines()
    assert [deed for deed in due if deed.startswith("remove ")] == []


@pytest.mark.roles(Role.LOG_STORE)
def test_logs_are_for_root_and_adm_alone(host: Host, machine: Machine) -> None:
    strange = f"find {STORE} -perm /007 -o -not -group adm -o -not -user till-logs"
    assert machine.check_output(strange) == ""
    newest = machine.check_output(f"find {STORE}/info -name '*.jsonl' -size +0 | head -1")
    assert machine.run(f"runuser -u nobody -- head -c 1 {newest}").rc != 0
    assert machine.run(f"runuser -u nobody -g adm -- head -c 1 {newest}").stdout == "{"
    assert machine.run(f"runuser -u nobody -g adm -- sh -c 'echo >>{newest}'").rc != 0

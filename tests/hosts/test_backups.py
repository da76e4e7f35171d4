"""Backups: the timers, what they have come to, and the road of WAL, as policy wants them."""

from __future__ import annotations

import json
import time

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role

BACKUP = "/opt/till-host/current/bin/backup"
STRANGER = """
import socket, ssl, sys
trust = ssl.create_default_context(cafile="/etc/till/pki/ca.pem")
raw = socket.create_connection((sys.argv[1], 8432), timeout=5)
with trust.wrap_socket(raw, server_hostname=sys.argv[1]) as tls:
    tls.sendall(b'{"cmd":"noop"}\\n')
    sys.exit(0 if tls.recv(1) else 3)
"""


def policy(machine: Machine, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(machine.check_output(f"cat /etc/till/{name}.json"))
    return found


def next_run_s(machine: Machine, timer: str) -> float:
    """Seconds until a timer elapses; raises AssertionError where it is not armed."""
    shown = machine.check_output(f"systemctl show --property=ActiveState --property=NextElapseUSecRealtime {timer}")
    told = dict(line.split("=", 1) for line in shown.splitlines())
    assert told["ActiveState"] == "active", f"{timer} is {told['ActiveState']}: systemctl enable --now {timer}"
    assert told["NextElapseUSecRealtime"], f"{timer} will never elapse"
    epoch = machine.check_output(f"date --date '{told['NextElapseUSecRealtime']}' +%s")
    return float(epoch) - time.time()


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
@pytest.mark.parametrize(
    ("timer", "within_h"),
    # The guide's six hours, and the timers' own jitter.
    [("till-backup.timer", 6.1), ("till-backup-verify.timer", 7 * 24.5), ("till-drill-restore.timer", 31 * 24.5)],
)
def test_timers_are_armed_and_enabled(host: Host, machine: Machine, timer: str, within_h: float) -> None:
    assert machine.service(timer).is_enabled
    assert 0 <= next_run_s(machine, timer) <= within_h * 3600


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
def test_backups_are_as_policy_wants_them(host: Host, machine: Machine) -> None:
    facts = json.loads(machine.check_output(f"{BACKUP} facts"))
    assert facts["faults"] == []
    assert facts["backups"]
    last = machine.run("cat /var/lib/till/backup.json")
    if last.rc == 0:
        assert json.loads(last.stdout)["ok"], last.stdout


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
def test_what_lies_in_the_repository_is_encrypted(host: Host, machine: Machine) -> None:
    # OpenSSL's mark of a salted cipher is what every encrypted file of pgBackRest begins with. One look at each file:
    # WAL arrives meanwhile, and what is being written has another name until it is whole.
    look = "find /var/lib/pgbackrest -type f -size +0 ! -name '*.tmp' -exec sh -c 'head -c 8 \"$1\" && echo' - {} ';'"
    heads = machine.check_output(look).splitlines()
    assert len(heads) > 10
    assert set(heads) == {"Salted__"}
    assert machine.file("/var/lib/pgbackrest").mode == 0o750


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
def test_retention_is_that_of_policy(host: Host, machine: Machine) -> None:
    settings = machine.file("/etc/pgbackrest/pgbackrest.conf")
    assert (settings.user, settings.group, settings.mode) == ("root", "postgres", 0o640)
    assert settings.contains("^repo1-retention-full=[1-9]")
    assert settings.contains("^repo1-retention-diff=[1-9]")
    facts = json.loads(machine.check_output(f"{BACKUP} facts"))
    kept = int(machine.check_output("sed -n 's/^repo1-retention-full=//p' /etc/pgbackrest/pgbackrest.conf"))
    assert sum(one["type"] == "full" and one["repository"] == 1 for one in facts["backups"]) <= kept


@pytest.mark.roles(Role.DATABASE)
def test_wal_reaches_the_repository(host: Host, machine: Machine) -> None:
    facts = json.loads(machine.check_output("/opt/till-host/current/bin/wal-archive facts"))
    assert not facts["failing"] and not facts["offsite_failing"], facts
    assert facts["queue_ratio"] < float(str(policy(machine, "backup")["queue_alarm_ratio"]))
    if facts["leads"]:
        # A segment waits for the interval of archive_timeout at most, and for its turn.
        assert facts["ready_age_s"] < 60, facts
    assert machine.service("till-wal-archive.service").is_running


@pytest.mark.roles(Role.DATABASE)
def test_nobody_talks_to_pgbackrest_without_a_certificate(host: Host, machine: Machine, contract: Contract) -> None:
    assert machine.service("till-pgbackrest.service").is_running
    asked = machine.run(f"python3 -c '{STRANGER}' {host.name}")
    assert asked.rc != 0, "a client without a certificate was answered"


@pytest.mark.roles(Role.DATABASE)
def test_no_restore_is_under_way(host: Host, machine: Machine) -> None:
    assert not machine.file("/var/lib/till/restoring").exists
    assert machine.check_output("/opt/till-host/current/bin/restore state") == "{}"

"""The config backup: schedule as policy says, a good and young backup, and a road that leads to one folder alone."""

from __future__ import annotations

import json
import time
from datetime import datetime
from functools import cache

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests.policy import POLICY

RESULT, SETTINGS = "/var/lib/till/config-backup.json", "/etc/till/config-backup.json"
TIMERS = {
    "till-config-backup.timer": POLICY["config_backup_on_calendar"],
    "till-config-backup-check.timer": POLICY["config_backup_check_on_calendar"],
}
MAX_AGE_H = POLICY["monitoring_config_backup_max_age_h"]
ROOT = "/var/lib/till-config-backup"


@cache
def restic(machine: Machine, arguments: str) -> str:
    """restic's answer on a host, as its program asks."""
    settings = json.loads(machine.file(SETTINGS).content_string)
    road = f"-o 'sftp.command={settings['sftp_command']}'" if settings["sftp_command"] else ""
    environment = f"RESTIC_REPOSITORY={settings['repository']} RESTIC_PASSWORD_FILE={settings['password_file']}"
    return str(machine.check_output(f"env {environment} restic --no-cache --no-lock {road} {arguments}"))


def test_timers_are_as_policy_says(host: Host, machine: Machine) -> None:
    for timer, calendar in TIMERS.items():
        shown = machine.check_output(
            f"systemctl show -p ActiveState -p UnitFileState -p TimersCalendar -p NextElapseUSecRealtime {timer}"
        )
        facts = dict(line.split("=", 1) for line in shown.splitlines())
        assert (facts["ActiveState"], facts["UnitFileState"]) == ("active", "enabled"), timer
        assert facts["NextElapseUSecRealtime"] != ""
        normal = machine.check_output(f"systemd-analyze calendar '{calendar}'").split("Normalized form: ")[1]
        assert f"OnCalendar={normal.splitlines()[0]} ;" in facts["TimersCalendar"], timer


def test_retention_and_what_is_kept_out_are_policy(host: Host, machine: Machine) -> None:
    settings = json.loads(machine.file(SETTINGS).content_string)
    assert settings["keep"] == dict(POLICY["config_backup_keep"])
    assert settings["exclude"] == list(POLICY["config_backup_exclude"])
    assert settings["check_data"] == POLICY["config_backup_check_data"]


def test_last_backup_went_well_and_is_young(host: Host, machine: Machine) -> None:
    facts = json.loads(machine.file(RESULT).content_string)
    assert facts["ok"] is True, facts.get("error")
    age_h = (time.time() - datetime.fromisoformat(facts["at"]).timestamp()) / 3600
    assert -0.1 <= age_h <= MAX_AGE_H
    assert facts["files"] > 0
    assert facts["bytes"] > 0


def test_the_repository_has_that_snapshot_and_is_encrypted(host: Host, machine: Machine) -> None:
    told = json.loads(machine.file(RESULT).content_string)
    snapshots = json.loads(restic(machine, "snapshots --json"))
    assert told["snapshot_id"] in {one["short_id"] for one in snapshots}
    assert {one["hostname"] for one in snapshots} == {host.name}
    assert json.loads(restic(machine, "cat config"))["id"] == told["repository_id"]


def test_what_a_rebuild_needs_is_in_it_and_credentials_are_not(host: Host, machine: Machine) -> None:
    lines = restic(machine, "ls latest --json").splitlines()
    saved = {entry["path"] for entry in map(json.loads, lines) if entry.get("type") == "file"}
    wanted = {"/etc/till/pki/ca.pem", "/etc/nftables.conf", "/var/lib/till/config-dumps/packages.txt"}
    for role, more in {
        Role.EDGE: {"/etc/haproxy/haproxy.cfg", "/etc/till/certificates/public.pem"},
        Role.APP: {"/var/lib/till/config-dumps/directus-schema.json", "/usr/local/lib/till/directus/schema.yml"},
        Role.DATABASE: {"/etc/patroni/patroni.yml", "/var/lib/till/config-dumps/patroni.yml"},
        Role.NAMESERVER: {"/etc/powerdns/pdns.conf", "/var/lib/till/config-dumps/zone.txt"},
        Role.MONITORING: {"/etc/prometheus/rules/till.yml"},
    }.items():
        wanted |= more if role in host.roles else set()
    assert wanted - saved == set()
    kept_out = ("/etc/till/credentials", "/etc/till/env", "/etc/till/pki/host.key")
    assert [path for path in saved if path.startswith(kept_out)] == []


def test_key_and_password_are_roots_alone(host: Host, machine: Machine) -> None:
    names = ("config_backup_key", "config_backup_ssh")
    shown = machine.check_output("stat -c '%a %U %G' " + " ".join(f"/etc/till/credentials/{name}" for name in names))
    assert set(shown.splitlines()) == {"600 root root"}


@pytest.mark.roles(Role.BACKUP_REPOSITORY)
def test_each_host_is_locked_into_its_own_folder(host: Host, machine: Machine, contract: Contract) -> None:
    # The first host with the role keeps its own configuration without SFTP.
    keeper = next(one for one in contract.hosts if Role.BACKUP_REPOSITORY in one.roles)
    for other in (one for one in contract.hosts if one.name != keeper.name):
        user = f"till-config-{other.name}"
        told = machine.check_output(f"sshd -T -C user={user},host={other.name},addr={other.address}")
        settings = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
        assert settings["forcecommand"] == "internal-sftp"
        assert settings["chrootdirectory"] == "%h"
        assert settings["disableforwarding"] == "yes"
        assert settings["permittty"] == "no"
        assert settings["authorizedkeysfile"] == "/etc/ssh/till-config/%u"
        passwd = machine.check_output(f"getent passwd {user}").split(":")
        assert passwd[5:] == [f"{ROOT}/{other.name}", "/usr/sbin/nologin"]
        modes = machine.check_output(f"stat -c '%a %U' {ROOT} {ROOT}/{other.name} {ROOT}/{other.name}/repository")
        assert modes.splitlines() == ["711 root", "755 root", f"700 {user}"]
        allowed = machine.file(f"/etc/ssh/till-config/{user}").content_string
        assert allowed.startswith(f'restrict,from="{other.address}",command="internal-sftp" ssh-ed25519 ')
        assert len(allowed.splitlines()) == 1
    # The drop-in is for these users and for nobody else.
    assert "forcecommand none" in machine.check_output("sshd -T -C user=root,host=x,addr=127.0.0.1")

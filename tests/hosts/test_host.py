"""What every host has: units, ports, files, SSH, firewall, time, and no secret where others can read it."""

from __future__ import annotations

import json
import time

import pytest
from ruamel.yaml import YAML
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from till.paths import PLAYBOOKS

POLICY = YAML(typ="safe").load((PLAYBOOKS / "group_vars" / "all" / "policy.yml").read_text())

UNITS = {
    None: ["ssh.service", "nftables.service", "systemd-journald.service", "unattended-upgrades.service"],
    Role.ETCD: ["etcd.service"],
    Role.DATABASE: ["patroni.service", "till-patroni-certificate.path"],
    Role.APP: ["till-database-proxy.service", "directus.service"],
    Role.EDGE: ["haproxy.service"],
    Role.NAMESERVER: ["pdns.service"],
}

PACKAGES = {
    None: ["openssh-server", "nftables", "unattended-upgrades", "ca-certificates"],
    Role.ETCD: ["etcd-server"],
    Role.DATABASE: ["postgresql-15"],
    Role.EDGE: ["haproxy", "certbot"],
    Role.NAMESERVER: ["pdns-server", "pdns-backend-sqlite3"],
}

SECRET_FILES = {
    None: {"/etc/till/credentials": "700 root root", "/etc/till/pki/host.key": "640 root till-pki"},
    Role.DATABASE: {"/etc/patroni/patroni.yml": "600 postgres postgres"},
    Role.EDGE: {"/etc/till/certificates/public.pem": "600 root root"},
    Role.APP: {"/etc/till/env": "700 root root", "/etc/till/env/directus.env": "600 root root"},
    Role.NAMESERVER: {"/etc/powerdns/pdns.conf": "640 root pdns"},
}


def of(table: dict[Role | None, object], host: Host) -> list[object]:
    return [found for role, found in table.items() if role is None or role in host.roles]


def secrets_in(text: str, contract: Contract) -> list[str]:
    """Names of the contract's secrets that stand in a text; shorter values would be found by chance."""
    values = {name: secret.get_secret_value() for name, secret in contract.secrets.items()}
    return [name for name, value in values.items() if len(value) >= 8 and value in text]


def test_units_run_and_come_back_at_boot(host: Host, machine: Machine) -> None:
    wanted = [unit for units in of(UNITS, host) for unit in units]
    shown = machine.check_output("systemctl show -p Id -p ActiveState -p UnitFileState " + " ".join(wanted))
    states = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n")]
    wrong = [s for s in states if s["ActiveState"] != "active" or s["UnitFileState"] not in ("enabled", "static")]
    assert not wrong


def test_no_unit_has_failed(machine: Machine, host: Host) -> None:
    assert machine.check_output("systemctl list-units --failed --no-legend --plain") == ""


def test_packages_are_installed(host: Host, machine: Machine) -> None:
    wanted = sorted({package for packages in of(PACKAGES, host) for package in packages})
    shown = machine.check_output(r"dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' " + " ".join(wanted))
    assert sorted(line.split()[0] for line in shown.splitlines() if line.split()[1] == "ii") == wanted


def test_nothing_but_policy_listens_outside_loopback(host: Host, machine: Machine) -> None:
    allowed = {f"tcp/{host.port}", "tcp/22"}
    for role in host.roles:
        allowed |= {
            *POLICY["policy_public_ports"].get(role.value, []),
            *POLICY["policy_fleet_ports"].get(role.value, []),
        }
    found = set()
    for line in machine.check_output("ss -lntuH").splitlines():
        fields = line.split()
        address, _, port = fields[4].rpartition(":")
        if not address.startswith(("127.", "[::1]")):
            found.add(f"{fields[0]}/{port}")
    assert found <= allowed


def test_firewall_drops_what_is_not_named(host: Host, machine: Machine) -> None:
    rules = machine.check_output("nft list chain inet till input")
    assert "policy drop" in rules
    for role in host.roles:
        for port in POLICY["policy_fleet_ports"].get(role.value, []):
            assert f"ip saddr @fleet {port.replace('/', ' dport ')} accept" in rules


def test_secret_files_are_for_their_owner_alone(host: Host, machine: Machine) -> None:
    wanted = {path: mode for files in of(SECRET_FILES, host) for path, mode in files.items()}
    shown = machine.check_output("stat -c '%n %a %U %G' " + " ".join(wanted))
    assert dict(line.split(" ", 1) for line in shown.splitlines()) == wanted
    loose = machine.check_output("find /etc/till/credentials /etc/till/env -type f -perm /077")
    assert loose == ""


def test_sshd_takes_keys_only(host: Host, machine: Machine) -> None:
    settings = dict(line.split(" ", 1) for line in machine.check_output("sshd -T").splitlines() if " " in line)
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["permitrootlogin"] in ("without-password", "prohibit-password", "no")
    assert settings["x11forwarding"] == "no"


def test_journal_is_kept_and_upgrades_are_security_only(host: Host, machine: Machine) -> None:
    assert machine.file("/var/log/journal").is_directory
    shown = machine.check_output("apt-config dump APT::Periodic Unattended-Upgrade")
    assert 'APT::Periodic::Unattended-Upgrade "1"' in shown
    assert '"haproxy"' in shown
    assert 'Automatic-Reboot "false"' in shown


def test_clock_is_right_and_kept_so(host: Host, machine: Machine) -> None:
    before = time.time()
    told = float(machine.check_output("date +%s.%N"))
    after = time.time()
    assert before - 2 <= told <= after + 2
    assert machine.check_output("systemctl is-enabled systemd-timesyncd.service") == "enabled"


def test_internal_certificate_is_the_hosts_own_and_lasts(host: Host, machine: Machine) -> None:
    machine.check_output(
        f"openssl verify -CAfile /etc/till/pki/ca.pem -verify_hostname {host.name} /etc/till/pki/host.pem"
    )
    machine.check_output(f"openssl x509 -in /etc/till/pki/host.pem -noout -checkend {7 * 86400}")


def test_no_secret_is_in_a_command_line(host: Host, machine: Machine, contract: Contract) -> None:
    command_lines = machine.check_output('sh -c \'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "\'')
    assert "sshd" in command_lines
    assert secrets_in(command_lines, contract) == []


def test_no_secret_is_in_the_journal(host: Host, machine: Machine, contract: Contract) -> None:
    journal = machine.check_output("journalctl --no-pager -o cat")
    assert len(journal) > 1000
    assert secrets_in(journal, contract) == []


@pytest.mark.roles(Role.APP)
def test_slots_say_what_serves(host: Host, machine: Machine) -> None:
    slots = json.loads(machine.file("/var/lib/till/slots.json").content_string)
    active = slots["active"]
    if active is not None:
        assert machine.service(f"storefront@{active}.service").is_running

"""What every host has: packages, units, SSH, journal, upgrades, time."""

from __future__ import annotations

import json
import time

import pytest
from testinfra.host import Host as Machine

from infra.contract import Host, Role

UNITS = {
    None: [
        "ssh.service",
        "nftables.service",
        "systemd-journald.service",
        "unattended-upgrades.service",
        "prometheus-node-exporter.service",
        "till-config-backup.timer",
        "till-config-backup-check.timer",
        "till-log-certificate.path",
    ],
    Role.ETCD: ["etcd.service"],
    Role.DATABASE: ["patroni.service", "till-patroni-certificate.path"],
    Role.APP: ["till-database-proxy.service", "directus.service"],
    Role.EDGE: ["haproxy.service", "till-certificate.timer"],
    Role.NAMESERVER: ["pdns.service"],
    Role.MONITORING: ["prometheus.service", "prometheus-alertmanager.service"],
    Role.LOG_STORE: ["till-log-store.service", "till-log-retention.timer"],
}

# Units whose main process must not be root's; HAProxy's master is, and its worker isn't.
UNPRIVILEGED = {
    None: ["prometheus-node-exporter.service"],
    Role.MONITORING: ["prometheus.service", "prometheus-alertmanager.service"],
    Role.ETCD: ["etcd.service"],
    Role.DATABASE: ["patroni.service"],
    Role.APP: ["directus.service"],
    Role.NAMESERVER: ["pdns.service"],
    Role.LOG_STORE: ["till-log-store.service"],
}

PACKAGES = {
    None: [
        "openssh-server",
        "nftables",
        "unattended-upgrades",
        "ca-certificates",
        "prometheus-node-exporter",
        "restic",
    ],
    Role.ETCD: ["etcd-server"],
    Role.DATABASE: ["postgresql-15"],
    Role.EDGE: ["haproxy", "certbot"],
    Role.NAMESERVER: ["pdns-server", "pdns-backend-sqlite3"],
    Role.MONITORING: ["prometheus", "prometheus-alertmanager"],
}


def of(table: dict[Role | None, object], host: Host) -> list[object]:
    return [found for role, found in table.items() if role is None or role in host.roles]


def test_units_run_and_come_back_at_boot(host: Host, machine: Machine) -> None:
    wanted = [unit for units in of(UNITS, host) for unit in units]
    shown = machine.check_output("systemctl show -p Id -p ActiveState -p UnitFileState " + " ".join(wanted))
    states = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n")]
    wrong = [s for s in states if s["ActiveState"] != "active" or s["UnitFileState"] not in ("enabled", "static")]
    assert not wrong


def test_no_unit_has_failed(machine: Machine, host: Host) -> None:
    assert machine.check_output("systemctl list-units --failed --no-legend --plain") == ""


def test_services_are_not_root(host: Host, machine: Machine) -> None:
    wanted = [unit for units in of(UNPRIVILEGED, host) for unit in units]
    if not wanted:
        return
    shown = machine.check_output("ps -o user= -p $(systemctl show -p MainPID --value " + " ".join(wanted) + " | xargs)")
    users = shown.split()
    assert len(users) == len(wanted)
    assert "root" not in users


def test_packages_are_installed(host: Host, machine: Machine) -> None:
    wanted = sorted({package for packages in of(PACKAGES, host) for package in packages})
    shown = machine.check_output(r"dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' " + " ".join(wanted))
    assert sorted(line.split()[0] for line in shown.splitlines() if line.split()[1] == "ii") == wanted


def test_sshd_takes_keys_only(host: Host, machine: Machine) -> None:
    settings = dict(line.split(" ", 1) for line in machine.check_output("sshd -T").splitlines() if " " in line)
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["permitrootlogin"] in ("without-password", "prohibit-password", "no")
    assert settings["permitemptypasswords"] == "no"
    assert settings["x11forwarding"] == "no"
    assert settings["allowagentforwarding"] == "no"


def test_journal_is_kept_and_upgrades_are_security_only(host: Host, machine: Machine) -> None:
    # Written to disk, not only set to be.
    assert int(machine.check_output("find /var/log/journal -name '*.journal' | wc -l")) > 0
    journal = machine.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "Storage=persistent" in journal.splitlines()
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
    # A container has the machine's clock, and systemd starts no time service there.
    if machine.run("systemd-detect-virt --container").rc != 0:
        assert machine.check_output("timedatectl show -p NTPSynchronized --value") == "yes"


@pytest.mark.roles(Role.APP)
def test_nothing_on_the_host_is_named_after_one_app(machine: Machine) -> None:
    places = "/etc/systemd/system /etc/till /etc/haproxy /srv/till/start /srv/till/slots /var/cache"
    assert machine.check_output(f"find {places} -name '*storefront*' -o -name '*-relay*'") == ""
    assert machine.run("getent passwd storefront").rc != 0
    assert machine.check_output("id -un app") == "app"


@pytest.mark.roles(Role.APP)
def test_slots_say_what_serves(host: Host, machine: Machine) -> None:
    slots = json.loads(machine.file("/var/lib/till/slots.json").content_string)
    active = slots["active"]
    if active is not None:
        unit = f"app@{active}.service"
        shown = machine.check_output(f"systemctl show -p ActiveState --value {unit}")
        assert shown == "active"
        assert machine.check_output(f"ps -o user= -p $(systemctl show -p MainPID --value {unit})") != "root"

"""No secret where others can read it; every host's certificate is its own, is served, and lasts."""

from __future__ import annotations

from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from till.redact import Redactor

SECRET_FILES = {
    None: {
        "/etc/till/credentials": "700 root root",
        "/etc/till/env": "700 root root",
        "/etc/till/pki/host.key": "640 root till-pki",
    },
    Role.DATABASE: {"/etc/patroni": "700 postgres postgres", "/etc/patroni/patroni.yml": "600 postgres postgres"},
    Role.EDGE: {
        "/etc/till/certificates": "700 root root",
        "/etc/till/certificates/public.pem": "600 root root",
        "/etc/letsencrypt/archive": "700 root root",
        "/etc/letsencrypt/live": "700 root root",
    },
    Role.APP: {"/etc/till/env/directus.env": "600 root root"},
    Role.NAMESERVER: {"/etc/powerdns/pdns.conf": "640 root pdns"},
}
# What a service or a setting may stand in. Releases are read as artefacts, before they reach a host.
KEPT_IN = ("/etc", "/var/lib", "/var/log", "/var/tmp", "/var/backups", "/run", "/tmp", "/home", "/root", "/srv/till")
NOT_OURS = ("/var/lib/dpkg", "/var/lib/apt", "/srv/till/releases")
# Ports that serve the host's own certificate, and what the handshake needs first.
SERVED = {Role.DATABASE: {8008: "", 5432: "-starttls postgres"}, Role.ETCD: {2379: "", 2380: ""}}
CERTIFICATE, KEY, CA = "/etc/till/pki/host.pem", "/etc/till/pki/host.key", "/etc/till/pki/ca.pem"
LASTS_AT_LEAST_S = 7 * 86400


def secrets_in(text: str, contract: Contract) -> list[str]:
    """Names of the contract's secrets that stand in a text in any spelling that the redactor knows."""
    values = {name: secret.get_secret_value() for name, secret in contract.secrets.items()}
    for name, one in contract.host_certificates.items():
        values[f"key of {name}"] = one.private_key_pem.get_secret_value()
    values["key of releases"] = contract.release_key.private_key_pem.get_secret_value()
    if contract.ssh_private_key is not None:
        values["ssh key"] = contract.ssh_private_key.get_secret_value()
    return [name for name, value in values.items() if Redactor([value]).scrub(text) != text]


def test_secret_files_are_for_their_owner_alone(host: Host, machine: Machine) -> None:
    chosen = [files for role, files in SECRET_FILES.items() if role is None or role in host.roles]
    wanted = {path: mode for files in chosen for path, mode in files.items()}
    shown = machine.check_output("stat -c '%n %a %U %G' " + " ".join(wanted))
    assert dict(line.split(" ", 1) for line in shown.splitlines()) == wanted
    strict = "-type f -not ( -perm 600 -user root -group root )".replace("(", "'('").replace(")", "')'")
    assert machine.check_output(f"find /etc/till/credentials /etc/till/env {strict}") == ""
    assert machine.check_output("find /etc/letsencrypt -name '*key*.pem' -type f -perm /077 || true") == ""


def test_app_hosts_know_the_key_that_signs_releases(host: Host, machine: Machine, contract: Contract) -> None:
    known = machine.file("/etc/till/release-key.pem")
    if Role.APP in host.roles:
        assert known.content_string == contract.release_key.public_key_pem
        assert (known.user, known.mode) == ("root", 0o644)
    else:
        assert not known.exists


def test_no_secret_is_readable_by_other_users(host: Host, machine: Machine, contract: Contract) -> None:
    """All that services and settings keep, as a user without rights sees it."""
    pruned = " -o ".join(f"-path {path}" for path in NOT_OURS)
    found = f"find {' '.join(KEPT_IN)} -xdev '(' {pruned} ')' -prune -o -type f -size -4096k -readable -print0"
    readable = machine.run(f"cd / && runuser -u nobody -- {found} 2>/dev/null | xargs -0 tail -v -n +1")
    told: dict[str, list[str]] = {}
    for part in readable.stdout_bytes.decode(errors="replace").split("==> /")[1:]:
        path, _, text = part.partition(" <==")
        if stand := secrets_in(text, contract):
            told[f"/{path}"] = stand
    assert "==> /etc/passwd <==" in readable.stdout_bytes.decode(errors="replace")
    assert told == {}


def test_no_secret_is_in_a_command_line(host: Host, machine: Machine, contract: Contract) -> None:
    command_lines = machine.check_output('sh -c \'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "\'')
    assert "sshd" in command_lines
    assert secrets_in(command_lines, contract) == []


def test_no_secret_is_in_the_journal(host: Host, machine: Machine, contract: Contract) -> None:
    journal = machine.check_output("journalctl --no-pager -o cat")
    assert len(journal) > 1000
    assert secrets_in(journal, contract) == []


def test_internal_certificate_is_the_hosts_own_and_lasts(host: Host, machine: Machine, contract: Contract) -> None:
    zone_name = f"{host.name}.{contract.names.zone}"
    for name in (host.name, zone_name, "localhost"):
        machine.check_output(f"openssl verify -CAfile {CA} -verify_hostname {name} {CERTIFICATE}")
    machine.check_output(f"openssl verify -CAfile {CA} -verify_ip {host.address} {CERTIFICATE}")
    for path in (CERTIFICATE, CA):
        machine.check_output(f"openssl x509 -in {path} -noout -checkend {LASTS_AT_LEAST_S}")


def test_internal_services_serve_that_certificate(host: Host, machine: Machine) -> None:
    """What runs may hold an older certificate than the file: ask it."""
    wanted = {port: first for role, found in SERVED.items() if role in host.roles for port, first in found.items()}
    checked = f"-CAfile {CA} -verify_return_error -verify_hostname {host.name} -cert {CERTIFICATE} -key {KEY}"
    shown = "openssl x509 -noout -fingerprint -sha256"
    script = [f"echo file $({shown} -in {CERTIFICATE})"]
    for port, first in wanted.items():
        handshake = f"openssl s_client -connect {host.address}:{port} {first} {checked} </dev/null 2>/dev/null"
        script.append(f"echo {port} $({handshake} | {shown})")
    told = dict(line.split(" ", 1) for line in machine.check_output("; ".join(script)).splitlines() if " " in line)
    own = told.pop("file")
    assert told == {str(port): own for port in wanted}

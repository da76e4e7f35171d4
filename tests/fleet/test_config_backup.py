"""The config backup of a whole fleet: it comes back alone, is refused in clear words, and leads nowhere else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.contract import Contract, Role, parse
from tests.fleet.conftest import STACK, container, inside, till
from till.changes import journal
from till.paths import CHECKOUT, STATE, VENV_BIN, journal_file

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]
SCRATCH = "/var/tmp/till-config-backup-test"
METRICS = "/var/lib/prometheus/node-exporter/till-config-backup.prom"
ROAD = "ssh -F /etc/till/config-backup.ssh"
# Files whose bytes must come back, by the folder that was saved.
COMPARED = ("/etc/haproxy", "/etc/letsencrypt", "/etc/patroni", "/etc/powerdns", "/etc/till/certificates")


def tried(host: str, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "exec", container(host), "sh", "-c", command], capture_output=True, text=True, timeout=180
    )


def facts(host: str) -> dict[str, Any]:
    return dict(json.loads(inside(host, "cat /var/lib/till/config-backup.json")))


def metric(host: str, name: str) -> float:
    lines = dict(line.split() for line in inside(host, f"cat {METRICS}").splitlines())
    return float(lines[name])


def save() -> tuple[int, dict[str, Any]]:
    code, told, _ = till("backup", "config", STACK)
    return code, told


@pytest.fixture(scope="module")
def keeper(lab: Contract) -> str:
    return next(host.name for host in lab.hosts if Role.BACKUP_REPOSITORY in host.roles)


@pytest.fixture(scope="module")
def pushed(lab: Contract) -> dict[str, Any]:
    code, told = save()
    assert code == 0, told
    assert journal.read(journal_file(STACK))[-1]["verb"] == "backup config"
    return told


@pytest.fixture
def scratch() -> Iterator[str]:
    inside("alpha", f"rm -rf {SCRATCH} && mkdir -m 0700 {SCRATCH}")
    try:
        yield SCRATCH
    finally:
        inside("alpha", f"rm -rf {SCRATCH}")


def test_every_host_saves_now(lab: Contract, pushed: dict[str, Any]) -> None:
    told = pushed["config_backup"]
    assert set(told) == {host.name for host in lab.hosts}
    for host, one in told.items():
        assert one["ok"] is True, (host, one)
        assert one["snapshot_id"] == facts(host)["snapshot_id"]
        assert metric(host, "till_config_backup_last_ok") == 1


def staged(keeper: str, name: str) -> str:
    """A file of the stack out of the newest snapshot of the repository's host."""
    path = f"/var/lib/till-config-backup-stage/{name}"
    known = "RESTIC_PASSWORD_FILE=/etc/till/credentials/config_backup_key"
    return inside(
        keeper, f"{known} restic --no-cache -r /var/lib/till-config-backup/{keeper}/repository dump latest {path}"
    )


def test_state_of_the_stack_is_in_it_and_no_secret_in_clear(lab: Contract, keeper: str, pushed: dict[str, Any]) -> None:
    state, settings = staged(keeper, "stack.json"), staged(keeper, f"Pulumi.{lab.stack}.yaml")
    assert json.loads(state)["deployment"]["resources"]
    stage = "/var/lib/till-config-backup-stage"
    assert inside(keeper, f"stat -c %a {stage} {stage}/*").split() == ["700", "600", "600"]
    secrets = {name: value.get_secret_value() for name, value in lab.secrets.items()}
    assert [name for name, value in secrets.items() if len(value) >= 8 and value in state + settings] == []


def test_a_new_controller_reads_the_contract_out_of_it(
    lab: Contract, keeper: str, pushed: dict[str, Any], tmp_path: Path
) -> None:
    """With the state, the settings and the passphrase, as the runbook says."""
    for name in ("stack.json", f"Pulumi.{lab.stack}.yaml"):
        (tmp_path / name).write_text(staged(keeper, name))
    (tmp_path / "Pulumi.yaml").write_text((CHECKOUT / "Pulumi.yaml").read_text())
    (tmp_path / "state").mkdir()
    passphrase = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE", str(STATE / "passphrase"))
    environment = {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE_FILE": passphrase,
    }

    def pulumi(*arguments: str) -> str:
        done = subprocess.run(
            [str(VENV_BIN / "pulumi"), "-C", str(tmp_path), *arguments, "--non-interactive"],
            env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    pulumi("stack", "init", lab.stack)
    pulumi("stack", "import", "--file", str(tmp_path / "stack.json"), "-s", lab.stack)
    assert parse(pulumi("stack", "output", "contract", "--show-secrets", "-s", lab.stack)) == lab


def test_it_comes_back_with_repository_and_password_alone(
    lab: Contract, keeper: str, pushed: dict[str, Any], scratch: str
) -> None:
    packed = subprocess.run(
        ["docker", "exec", container(keeper), "tar", "-C", "/var/lib/till-config-backup/alpha", "-c", "repository"],
        capture_output=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    subprocess.run(
        ["docker", "exec", "-i", container("alpha"), "tar", "-C", scratch, "-x"],
        input=packed, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    inside("alpha", f"install -m 0600 /etc/till/credentials/config_backup_key {scratch}/password")
    alone = f"env -i PATH=/usr/bin:/bin RESTIC_PASSWORD_FILE={scratch}/password"
    inside("alpha", f"{alone} restic --no-cache -r {scratch}/repository restore latest --target {scratch}/back")
    for folder in COMPARED:
        assert inside("alpha", f"find {scratch}/back{folder} -type f | wc -l") != "0\n", folder
        inside("alpha", f"diff -r {folder} {scratch}/back{folder}")
        # Modes and owners as well: a key that comes back readable is no backup of a key.
        shown = "find . -printf '%p %m %u %g\\n' | sort"
        assert inside("alpha", f"cd {folder} && {shown}") == inside("alpha", f"cd {scratch}/back{folder} && {shown}")
    # HAProxy reads what came back, in the places where it will stand.
    mounts = " && ".join(f"mount --bind {scratch}/back{path} {path}" for path in ("/etc/haproxy", "/etc/till"))
    read = "haproxy -c -f /etc/haproxy/haproxy.cfg -f /etc/haproxy/slots.cfg"
    inside("alpha", f"unshare --mount sh -ec '{mounts} && {read}'")
    damaged = f"echo nonsense >> {scratch}/back/etc/haproxy/haproxy.cfg"
    assert tried("alpha", f"{damaged}; unshare --mount sh -ec '{mounts} && {read}'").returncode != 0
    assert f"{lab.names.shop}\t" in inside("alpha", f"cat {scratch}/back/var/lib/till/config-dumps/zone.txt")
    schema = json.loads(inside("alpha", f"cat {scratch}/back/var/lib/till/config-dumps/directus-schema.json"))
    assert "orders" in {one["collection"] for one in schema["collections"]}


@pytest.mark.matrix
def test_a_wrong_password_is_refused_in_clear_words(pushed: dict[str, Any], scratch: str) -> None:
    settings = json.loads(inside("alpha", "cat /etc/till/config-backup.json"))
    settings |= {
        "password_file": f"{scratch}/wrong",
        "result": f"{scratch}/result.json",
        "metrics": f"{scratch}/metrics.prom",
        "cache": f"{scratch}/cache",
    }
    inside("alpha", f"echo wrong > {scratch}/wrong; echo '{json.dumps(settings)}' > {scratch}/settings.json")
    done = tried("alpha", f"/opt/till-host/current/bin/config-backup run {scratch}/settings.json")
    assert done.returncode == 1
    assert "does not open" in done.stderr
    assert "till provision lab --tags config_backup" in done.stderr
    assert json.loads(inside("alpha", f"cat {scratch}/result.json"))["ok"] is False


@contextmanager
def no_road(host: str, address: str) -> Iterator[None]:
    """Packets of a host to another one's SSH port are lost."""
    rule = f"add rule inet till_test out ip daddr {address} tcp dport 22 drop"
    chain = "add chain inet till_test out { type filter hook output priority 0; }"
    inside(host, f"nft 'add table inet till_test; {chain}; {rule}'")
    try:
        yield
    finally:
        inside(host, "nft delete table inet till_test")


@pytest.mark.matrix
def test_a_repository_that_is_away_fails_the_unit_and_is_told(
    lab: Contract, keeper: str, pushed: dict[str, Any]
) -> None:
    address = next(host.address for host in lab.hosts if host.name == keeper)
    good = facts("alpha")["last_success_at"]
    try:
        with no_road("alpha", address):
            assert tried("alpha", "systemctl start till-config-backup.service").returncode != 0
            assert inside("alpha", "systemctl show -p Result --value till-config-backup.service") == "exit-code\n"
            told = facts("alpha")
            assert (told["ok"], told["last_success_at"]) == (False, good)
            assert "can't be reached by SFTP" in told["error"]
            assert metric("alpha", "till_config_backup_last_ok") == 0
            code, said = save()
            assert code == 1
            assert re.search(r"alpha: Say what went wrong: .*can't be reached by SFTP", said["error"]), said
    finally:
        code, said = save()
        assert code == 0 and said["config_backup"]["alpha"]["ok"] is True
    assert metric("alpha", "till_config_backup_last_ok") == 1


@pytest.mark.matrix
def test_the_sftp_user_gets_no_shell_and_sees_no_other_folder(keeper: str, pushed: dict[str, Any]) -> None:
    listed = tried("alpha", f"printf 'ls -1 /\\n' | sftp -b - -F /etc/till/config-backup.ssh {keeper}")
    assert listed.returncode == 0, listed.stderr
    assert [line for line in listed.stdout.splitlines() if not line.startswith("sftp>")] == ["/repository"]
    for wish in ("get /etc/passwd /dev/null", "ls /var/lib/till-config-backup", "ls ../bravo", "mkdir /mine"):
        done = tried("alpha", f"printf '{wish}\\n' | sftp -b - -F /etc/till/config-backup.ssh {keeper}")
        assert done.returncode != 0, (wish, done.stdout)
    assert "uid=" not in tried("alpha", f"{ROAD} -T {keeper} id </dev/null").stdout
    forwarded = tried("alpha", f"timeout 20 {ROAD} -W 127.0.0.1:9090 {keeper} </dev/null")
    assert forwarded.returncode != 0
    other = tried("alpha", f"{ROAD} -o User=till-config-bravo -s {keeper} sftp </dev/null")
    assert "Permission denied" in other.stderr
    # The key works from its own host alone.
    key = inside("alpha", "cat /etc/till/credentials/config_backup_ssh")
    stolen = "/run/till-config-backup-test-key"
    try:
        subprocess.run(
            ["docker", "exec", "-i", container("bravo"), "sh", "-c", f"umask 077; cat > {stolen}"],
            input=key, text=True, check=True, timeout=30,
        )  # fmt: skip
        road = f"{ROAD} -o User=till-config-alpha -i {stolen} -s {keeper} sftp"
        assert "Permission denied" in tried("bravo", f"{road} </dev/null").stderr
    finally:
        inside("bravo", f"rm -f {stolen}")


OLD = (
    "import json; p = '/var/lib/till/config-backup.json'; f = json.load(open(p)); f['at'] = '2020-01-01T00:00:00+00:00'"
)
# What is broken on a host, how it is mended, and the check of `till verify` that must see it.
BREAKS = {
    "timer": (
        "alpha",
        "systemctl disable --now till-config-backup.timer",
        "systemctl enable --now till-config-backup.timer",
        "test_timers_are_as_policy_says",
    ),
    "age": (
        "alpha",
        f"cp -p /var/lib/till/config-backup.json /run/kept; python3 -c \"{OLD}; json.dump(f, open(p, 'w'))\"",
        "mv /run/kept /var/lib/till/config-backup.json",
        "test_last_backup_went_well_and_is_young",
    ),
    "mode": (
        "alpha",
        "chmod 0644 /etc/till/credentials/config_backup_key",
        "chmod 0600 /etc/till/credentials/config_backup_key",
        "test_key_and_password_are_roots_alone",
    ),
    "lock-in": (
        "ops",
        "sed -i.kept /ForceCommand/d /etc/ssh/sshd_config.d/90-till-config.conf",
        "mv /etc/ssh/sshd_config.d/90-till-config.conf.kept /etc/ssh/sshd_config.d/90-till-config.conf",
        "test_each_host_is_locked_into_its_own_folder",
    ),
    "empty-repository": (
        "ops",
        "mv /var/lib/till-config-backup/ops/repository/snapshots /var/lib/till-config-backup/ops/kept;"
        " mkdir /var/lib/till-config-backup/ops/repository/snapshots",
        "rmdir /var/lib/till-config-backup/ops/repository/snapshots;"
        " mv /var/lib/till-config-backup/ops/kept /var/lib/till-config-backup/ops/repository/snapshots",
        "test_the_repository_has_that_snapshot_and_is_encrypted",
    ),
}


@pytest.mark.matrix
@pytest.mark.parametrize("broken", BREAKS)
def test_verify_sees_what_was_broken(lab: Contract, pushed: dict[str, Any], broken: str) -> None:
    host, damage, repair, check = BREAKS[broken]

    def verdict() -> int:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests/hosts/test_config_backup.py", "-k", f"{check} and {host}"],
            cwd=CHECKOUT, env={**os.environ, "TILL_STACK": lab.stack}, capture_output=True, timeout=180,
        ).returncode  # fmt: skip

    inside(host, damage)
    try:
        assert verdict() == 1
    finally:
        inside(host, repair)
    assert verdict() == 0

"""The database: who leads, who follows, that nothing is acknowledged on one host alone, that all is encrypted."""

from __future__ import annotations

import json
import time

import pytest
from ruamel.yaml import YAML
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests.policy import POLICY

PATRONICTL = "/opt/patroni/bin/patronictl -c /etc/patroni/patroni.yml"
PSQL = "runuser -u postgres -- psql -XAtqc"
LAG_LIMIT_MB = 16
STORE_RETURNS_WITHIN_S = 60
TRUST = "ETCDCTL_API=3 ETCDCTL_CACERT=/etc/till/pki/ca.pem"
PROOF = "ETCDCTL_CERT=/etc/till/pki/host.pem ETCDCTL_KEY=/etc/till/pki/host.key"
ETCDCTL = "etcdctl --endpoints https://127.0.0.1:2379"
SERVER_SETTINGS = {
    "ssl": "on",
    "data_checksums": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "full_page_writes": "on",
    "wal_log_hints": "on",
}


def members(machine: Machine) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(machine.check_output(f"{PATRONICTL} list -f json"))
    return found


@pytest.mark.roles(Role.DATABASE)
def test_one_leads_one_is_synchronous_all_stream(host: Host, machine: Machine, contract: Contract) -> None:
    found = members(machine)
    expected = sorted(one.name for one in contract.hosts if Role.DATABASE in one.roles)
    assert sorted(str(member["Member"]) for member in found) == expected
    roles = [member["Role"] for member in found]
    assert roles.count("Leader") == 1
    assert roles.count("Sync Standby") == 1
    assert {member["State"] for member in found} <= {"running", "streaming"}
    assert len({member["TL"] for member in found}) == 1


@pytest.mark.roles(Role.DATABASE)
def test_replication_keeps_up_over_tls(host: Host, machine: Machine, contract: Contract) -> None:
    leader = next(member["Member"] for member in members(machine) if member["Role"] == "Leader")
    if leader != host.name:
        assert machine.check_output(f"{PSQL} 'SELECT pg_is_in_recovery()'") == "t"
        assert machine.check_output(f'{PSQL} "SELECT status FROM pg_stat_wal_receiver"') == "streaming"
        return
    copies = sum(Role.DATABASE in one.roles for one in contract.hosts) - 1
    query = (
        "SELECT count(*), bool_and(ssl), max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))"
        " FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)"
    )
    count, encrypted, lag_bytes = machine.check_output(f'{PSQL} "{query}"').split("|")
    assert (int(count), encrypted) == (copies, "t")
    assert float(lag_bytes) <= LAG_LIMIT_MB * 2**20
    # Patroni's word and PostgreSQL's own: somebody is waited for, and streams.
    assert machine.check_output(f"{PSQL} 'SHOW synchronous_standby_names'") != ""
    waited_for = f"{PSQL} \"SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')\""
    assert int(machine.check_output(waited_for)) >= 1


@pytest.mark.roles(Role.DATABASE)
def test_every_copy_knows_its_timeline(host: Host, machine: Machine) -> None:
    # Patroni takes no replica for a successor whose timeline it can't ask for.
    ask = (
        "import ssl, urllib.request as r;"
        f' print(r.urlopen("https://{host.name}:8008/patroni",'
        ' context=ssl.create_default_context(cafile="/etc/till/pki/ca.pem")).read().decode())'
    )
    assert json.loads(machine.check_output(f"python3 -c '{ask}'"))["timeline"] >= 1


@pytest.mark.roles(Role.DATABASE)
def test_settings_that_money_depends_on(host: Host, machine: Machine) -> None:
    settings = YAML(typ="safe").load(machine.check_output(f"{PATRONICTL} show-config"))
    assert settings["synchronous_mode"] is True
    assert settings["synchronous_mode_strict"] is True
    assert settings["ttl"] >= 20
    assert settings["loop_wait"] + 2 * settings["retry_timeout"] <= settings["ttl"]
    names = ", ".join(f"'{name}'" for name in SERVER_SETTINGS)
    query = f"SELECT name || '=' || setting FROM pg_settings WHERE name IN ({names})"
    shown = machine.check_output(f'{PSQL} "{query}"')
    assert dict(line.split("=", 1) for line in shown.splitlines()) == SERVER_SETTINGS


@pytest.mark.roles(Role.DATABASE)
def test_a_dead_leaders_key_would_be_released_as_policy_says(host: Host, machine: Machine) -> None:
    assert machine.service("till-lease-release").is_running == POLICY["fast_release_enabled"]
    settings = json.loads(machine.file("/etc/till/fast-release.json").content_string)
    assert settings["after_s"] == POLICY["fast_release_after_s"]
    assert settings["name"] == host.name
    assert len({probe.rpartition(":")[2] for probe in settings["probes"]}) >= 3


@pytest.mark.roles(Role.DATABASE)
def test_nobody_gets_in_without_tls_or_password(host: Host, machine: Machine) -> None:
    rules = machine.check_output(f"{PSQL} \"SELECT DISTINCT type || ' ' || auth_method FROM pg_hba_file_rules\"")
    assert set(rules.splitlines()) == {"local peer", "hostssl scram-sha-256"}
    assert machine.check_output(f'{PSQL} "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"') == "0"
    assert machine.run("systemctl is-enabled postgresql.service").stdout.strip() == "masked"


@pytest.mark.roles(Role.ETCD)
def test_etcd_has_a_quorum_and_asks_for_certificates(host: Host, machine: Machine, contract: Contract) -> None:
    size = sum(Role.ETCD in one.roles for one in contract.hosts)
    found = json.loads(machine.check_output(f"env {TRUST} {PROOF} {ETCDCTL} endpoint health --cluster -w json"))
    assert len(found) == size
    assert all(member["health"] for member in found)
    stranger = machine.run(f"env {TRUST} {ETCDCTL} --command-timeout 1s get till")
    assert stranger.rc != 0


@pytest.mark.roles(Role.ETCD)
def test_a_member_beside_no_edge_leads_the_consensus_store(host: Host, machine: Machine, contract: Contract) -> None:
    members = [one for one in contract.hosts if Role.ETCD in one.roles]
    preferred = {one.address for one in members if Role.EDGE not in one.roles} or {one.address for one in members}
    deadline = time.monotonic() + STORE_RETURNS_WITHIN_S
    while (leading := store_leader(machine)) not in preferred and time.monotonic() < deadline:
        time.sleep(1)
    assert leading in preferred


def store_leader(machine: Machine) -> str:
    """The address of the member that leads."""
    told = json.loads(machine.check_output(f"env {TRUST} {PROOF} {ETCDCTL} endpoint status --cluster -w json"))
    leads = (one for one in told if one["Status"]["header"]["member_id"] == one["Status"]["leader"])
    return next((str(one["Endpoint"]).partition("://")[2].rpartition(":")[0] for one in leads), "")


@pytest.mark.roles(Role.APP)
def test_local_road_leads_to_the_leader(host: Host, machine: Machine) -> None:
    # HAProxy's port speaks PostgreSQL over TLS; who answers must not be in recovery.
    tls = "sslmode=verify-full sslrootcert=/etc/till/pki/ca.pem"
    target = f"host=127.0.0.1 port=5000 user=directus dbname=directus {tls}"
    # By the environment: a password in argv is what other tests look for.
    password = "export PGPASSWORD=$(cat /etc/till/credentials/directus_database_password)"
    answer = machine.run(f"{password}; psql -XAtqc 'SELECT pg_is_in_recovery()' '{target}'")
    assert answer.stdout.strip() == "f", answer.stderr

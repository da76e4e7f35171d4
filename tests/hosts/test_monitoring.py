"""What watches the stack: every target is seen, over TLS where it can be, by nobody from outside."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests.policy import POLICY

ALERTS = {
    "BackupTooOld",
    "BackupFailed",
    "BackupFault",
    "DrillFailed",
    "DrillOverdue",
    "WalArchiveStuck",
    "WalArchiveQueueFilling",
    "WalArchiveGap",
    "BackupRepositoryFilling",
    "ConfigBackupTooOld",
    "ClockOff",
    "HostDown",
}
SCRAPED_WITHIN_S = 30
TEXTFILES = "/var/lib/prometheus/node-exporter"
ASK = "import ssl, sys, urllib.request as r; c = ssl.create_default_context(cafile='/etc/till/pki/ca.pem');"
SHOW = "c.load_cert_chain('/etc/till/pki/host.pem', '/etc/till/pki/host.key');"
READ = (
    "sys.stdout.write(r.urlopen(sys.argv[1], timeout=10, context=c if 's:' in sys.argv[1] else None).read().decode())"
)


def get(machine: Machine, url: str, certificate: bool = True) -> Any:
    program = shlex.quote(ASK + (SHOW if certificate else "") + READ)
    return machine.run(f"python3 -c {program} {shlex.quote(url)}")


def prometheus(machine: Machine, path: str) -> Any:
    answer = get(machine, f"http://127.0.0.1:9090/api/v1/{path}")
    assert answer.rc == 0, answer.stderr
    return json.loads(answer.stdout)["data"]


def not_up(targets: list[dict[str, Any]]) -> dict[str, str]:
    """The last error of each; a slot without a release, or with one that has no metrics, tells none."""
    return {
        f"{one['labels']['job']} {one['labels']['instance']}": one["lastError"]
        for one in targets
        if one["health"] != "up" and one["labels"]["job"] != "slots"
    }


@pytest.mark.roles(Role.MONITORING)
def test_every_target_is_up(host: Host, machine: Machine, contract: Contract) -> None:
    deadline = time.monotonic() + SCRAPED_WITHIN_S
    while down := not_up(targets := prometheus(machine, "targets?state=active")["activeTargets"]):
        # Only its last scrape counts, and a busy machine may be late once.
        assert time.monotonic() < deadline, down
        time.sleep(2)
    jobs = {
        "node": None, "edge": Role.EDGE, "database": Role.DATABASE, "etcd": Role.ETCD, "traffic": Role.EDGE,
        "slots": Role.EDGE,
    }  # fmt: skip
    for job, role in jobs.items():
        seen = {one["labels"]["host"] for one in targets if one["labels"]["job"] == job}
        assert seen == {one.name for one in contract.hosts if role is None or role in one.roles}, job
    schemes = {one["labels"]["job"]: one["scrapeUrl"].partition(":")[0] for one in targets}
    assert {schemes["node"], schemes["database"], schemes["etcd"]} == {"https"}


@pytest.mark.roles(Role.MONITORING)
def test_alerts_are_loaded_and_none_of_hosts_fires(host: Host, machine: Machine) -> None:
    groups = prometheus(machine, "rules?type=alert")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert ALERTS - {rule["name"] for rule in rules} == set()
    assert {rule["health"] for rule in rules} == {"ok"}
    firing = {
        alert["labels"]["alertname"] for alert in prometheus(machine, "alerts")["alerts"] if alert["state"] == "firing"
    }
    assert firing & {"HostDown", "ClockOff", "ConfigBackupTooOld", "ConfigBackupFailed"} == set()
    managers = prometheus(machine, "alertmanagers")["activeAlertmanagers"]
    assert [one["url"] for one in managers] == ["http://127.0.0.1:9093/api/v2/alerts"]


@pytest.mark.roles(Role.MONITORING)
def test_retention_is_policy_and_nothing_listens_outside(host: Host, machine: Machine) -> None:
    runs = machine.check_output("ps -o args= -C prometheus").split()
    assert f"--storage.tsdb.retention.time={POLICY['monitoring_retention_days']}d" in runs
    assert f"--storage.tsdb.retention.size={POLICY['monitoring_retention_size_mb']}MB" in runs
    assert prometheus(machine, "status/flags")["web.listen-address"] == "127.0.0.1:9090"
    assert prometheus(machine, "status/flags")["web.enable-admin-api"] == "false"


def test_exporter_answers_hosts_of_the_stack_only(host: Host, machine: Machine) -> None:
    url = f"https://{host.name}:9100/metrics"
    answer = get(machine, url)
    assert "node_load1" in answer.stdout, answer.stderr
    assert get(machine, url, certificate=False).rc != 0


def test_config_backup_reaches_the_metrics(host: Host, machine: Machine) -> None:
    metrics = get(machine, f"https://{host.name}:9100/metrics").stdout
    assert "till_config_backup_last_success_timestamp_seconds" in metrics
    assert "node_textfile_scrape_error 0" in metrics
    assert machine.check_output(f"stat -c '%a %U %G' {TEXTFILES}") == "755 root root"

"""The alert rules as Prometheus reads them: each fires when it should, and not before."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.policy import POLICY

CHECKOUT = Path(__file__).parents[2]
ROLE = CHECKOUT / "playbooks" / "roles" / "monitoring"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
LIMITS: dict[str, Any] = {**DEFAULTS, **{name: value for name, value in POLICY.items() if name in DEFAULTS}}


def rendered() -> dict[str, Any]:
    # As Ansible's template module renders.
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((ROLE / "templates" / "alerts.yml.j2").read_text())
    return yaml.safe_load(template.render(LIMITS))


RULES = rendered()
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]


def promtool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    binary = shutil.which("promtool")
    if not binary:
        pytest.fail("promtool is not here: run `tools/setup --tests`")
    return subprocess.run([binary, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def fired(
    folder: Path, series: dict[str, str], at: str, alert: str, step: str = "1m"
) -> subprocess.CompletedProcess[str]:
    """promtool's answer to "no such alert fires": it lists those that do. Series have a value at each step."""
    (folder / "rules.yml").write_text(yaml.safe_dump(RULES))
    test = {
        "interval": step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": []}],
    }
    (folder / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": step, "tests": [test]})
    )
    return promtool(folder, "test", "rules", "test.yml")


AGES = {
    "till_backup_last_completed_timestamp_seconds": ("BackupTooOld", LIMITS["monitoring_backup_max_age_h"]),
    'till_config_backup_last_success_timestamp_seconds{host="alpha"}': (
        "ConfigBackupTooOld",
        LIMITS["monitoring_config_backup_max_age_h"],
    ),
    'till_drill_last_success_timestamp_seconds{drill="restore"}': (
        "DrillOverdue",
        LIMITS["monitoring_drills"]["restore"],
    ),
}
FREE = LIMITS["monitoring_repository_free_ratio_min"]
QUEUE = LIMITS["monitoring_wal_archive_queue_ratio"]
OFFSET_S = LIMITS["monitoring_clock_max_offset_s"]
WAL_AGE_S = LIMITS["monitoring_wal_archive_max_age_s"]
# Series, the alert, a value at which it fires and one at which it does not.
VALUES = [
    ('till_backup_last_ok{host="ops"}', "BackupFailed", 0, 1),
    ('till_backup_faults{host="ops"}', "BackupFault", 1, 0),
    ('till_backup_repository_free_ratio{host="ops"}', "BackupRepositoryFilling", FREE - 0.01, FREE),
    ('till_wal_archive_failing{host="alpha",leads="true"}', "WalArchiveStuck", 1, 0),
    ('till_wal_archive_age_seconds{host="alpha",leads="true"}', "WalArchiveStuck", WAL_AGE_S + 1, WAL_AGE_S),
    ('till_wal_archive_queue_ratio{host="alpha"}', "WalArchiveQueueFilling", QUEUE, QUEUE - 0.01),
    ('till_wal_archive_gap{host="alpha"}', "WalArchiveGap", 1, 0),
    ('till_drill_last_ok{drill="restore"}', "DrillFailed", 0, 1),
    ('till_drill_last_ok{drill="failover"}', "DrillFailed", 0, 1),
    ('till_clock_offset_seconds{host="ops"}', "ClockOff", -(OFFSET_S + 1), -OFFSET_S),
    ('up{job="node",host="bravo"}', "HostDown", 0, 1),
    ('till_config_backup_last_ok{host="alpha"}', "ConfigBackupFailed", 0, 1),
    ('till_config_backup_last_check_ok{host="alpha"}', "ConfigBackupFailed", 0, 1),
]
# Metrics whose absence is an alert of its own.
ABSENT = {
    "BackupTooOld": {"up": "1x90"},
    "DrillOverdue": {"up": "1x90"},
    "WalArchiveStuck": {"up": "1x90"},
    "ConfigBackupTooOld": {'up{job="node",host="bravo"}': "1x90"},
}
PRESENT = {
    "till_backup_last_completed_timestamp_seconds": "0+60x90",
    'till_drill_last_success_timestamp_seconds{drill="restore"}': "0+60x90",
    'till_wal_archive_failing{host="alpha"}': "0x90",
    'till_config_backup_last_success_timestamp_seconds{host="bravo",instance="bravo:9100"}': "0+60x90",
}


def says(done: subprocess.CompletedProcess[str], alert: str) -> bool:
    assert done.returncode in (0, 1), done.stderr
    assert "SUCCESS" in done.stdout or "FAILED" in done.stderr, (done.stdout, done.stderr)
    return done.returncode == 1 and f'alertname="{alert}"' in done.stderr


def test_rules_are_valid(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(RULES))
    done = promtool(tmp_path, "check", "rules", "--lint-fatal", "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("series", AGES)
def test_age_alerts_fire_after_the_limit(tmp_path: Path, series: str) -> None:
    alert, limit_h = AGES[series]
    # The metric keeps the value 0: its age is the time of the evaluation.
    history = {series: f"0x{limit_h * 2 + 10}"}
    assert not says(fired(tmp_path, history, f"{limit_h}h", alert, "30m"), alert)
    assert says(fired(tmp_path, history, f"{limit_h + 1}h", alert, "30m"), alert)


@pytest.mark.parametrize(("series", "alert", "bad", "good"), VALUES)
def test_value_alerts_fire_and_stay_silent(tmp_path: Path, series: str, alert: str, bad: float, good: float) -> None:
    assert says(fired(tmp_path, {series: f"{bad}x10"}, "5m", alert), alert)
    assert not says(fired(tmp_path, {series: f"{good}x10"}, "5m", alert), alert)


@pytest.mark.parametrize("alert", ABSENT)
def test_what_nobody_tells_of_is_an_alert_after_an_hour(tmp_path: Path, alert: str) -> None:
    held_min = LIMITS["monitoring_absent_hold_s"] // 60
    assert not says(fired(tmp_path, ABSENT[alert], f"{held_min - 1}m", alert), alert)
    assert says(fired(tmp_path, ABSENT[alert], f"{held_min + 1}m", alert), alert)
    assert not says(fired(tmp_path, ABSENT[alert] | PRESENT, f"{held_min + 1}m", alert), alert)


def test_a_clock_that_prometheus_itself_sees_off(tmp_path: Path) -> None:
    ahead = {'node_time_seconds{host="alpha"}': f"{OFFSET_S + 1}+60x10"}
    assert says(fired(tmp_path, ahead, "5m", "ClockOff"), "ClockOff")
    in_step = {'node_time_seconds{host="alpha"}': "0+60x10"}
    assert not says(fired(tmp_path, in_step, "5m", "ClockOff"), "ClockOff")


def test_metrics_of_a_writer_that_died_are_not_believed(tmp_path: Path) -> None:
    minutes = LIMITS["monitoring_metrics_max_age_s"] // 60
    file = "/var/lib/prometheus/node-exporter/till-wal-archive.prom"
    frozen = {f'node_textfile_mtime_seconds{{host="alpha",file="{file}"}}': f"0x{minutes + 10}"}
    assert not says(fired(tmp_path, frozen, f"{minutes}m", "MetricsStale"), "MetricsStale")
    assert says(fired(tmp_path, frozen, f"{minutes + 3}m", "MetricsStale"), "MetricsStale")


def test_each_alert_has_a_sentence_a_severity_and_a_runbook() -> None:
    for rule in ALERTS:
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert re.fullmatch(r"docs/runbooks/[a-z-]+\.md", file)
        assert anchor
        headings = re.findall(r"^#+ (.+)$", (CHECKOUT / file).read_text(), re.MULTILINE)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, rule["alert"]


@pytest.mark.parametrize("role", ["monitoring", "node_metrics", "config_backup", "config_repository"])
def test_spec_equals_defaults(role: str) -> None:
    folder = ROLE.parent / role
    defaults = yaml.safe_load((folder / "defaults" / "main.yml").read_text())
    options = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults

"""What the log store keeps and removes, without a host; defaults, specs and policy of the role in step."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.policy import POLICY
from till_host.logs import retention as logs_retention

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
ROLE = PLAYBOOKS / "roles" / "logs"
# The guide's; a manager may keep logs longer.
AT_LEAST_DAYS = {"debug": 7, "info": 30, "error": 90, "critical": 365}
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LONG_AGO_S = 86400


def read(path: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(path))


@pytest.fixture(scope="module")
def retention() -> ModuleType:
    return logs_retention


@pytest.fixture
def policy(tmp_path: Path) -> dict[str, Any]:
    return {
        "folder": str(tmp_path),
        "kept_days": AT_LEAST_DAYS,
        "max_mb": {"debug": 3, "info": 3, "error": 3, "critical": 3},
        "file_max_mb": 1,
        "settled_after_s": 1200,
    }


def put(folder: Path, name: str, size: int = 10, age_s: float = LONG_AGO_S) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW.timestamp() - age_s,) * 2)
    return path


def day(ago: int) -> str:
    return (NOW - timedelta(days=ago)).date().isoformat()


def deeds(retention: ModuleType, policy: dict[str, Any]) -> list[tuple[str, str, bool]]:
    folder = Path(policy["folder"])
    found = retention.plan(retention.kept(folder, policy["kept_days"]), policy, NOW.timestamp())
    return [(one.verb, str(one.path.relative_to(folder)), one.early) for one in found]


def test_spec_equals_defaults_and_policy_names_what_there_is() -> None:
    defaults = read(ROLE / "defaults" / "main.yml")
    options = read(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
    ours = {name for name in POLICY if name.startswith("logs_")}
    assert ours <= set(defaults)
    assert POLICY["policy_fleet_ports"]["log_store"] == [f"tcp/{defaults['logs_port']}"]
    for table in ("logs_kept_days", "logs_max_mb"):
        assert set(POLICY[table]) == set(AT_LEAST_DAYS)
    assert all(POLICY["logs_kept_days"][level] >= days for level, days in AT_LEAST_DAYS.items())


@pytest.mark.parametrize(("level", "days"), AT_LEAST_DAYS.items())
def test_an_event_is_kept_for_its_days_and_no_longer(
    retention: ModuleType, policy: dict[str, Any], tmp_path: Path, level: str, days: int
) -> None:
    put(tmp_path, f"{level}/alpha/{day(days)}.jsonl.gz")
    put(tmp_path, f"{level}/alpha/{day(days + 1)}.jsonl.gz")
    put(tmp_path, f"{level}/alpha/{day(days + 1)}.2.jsonl")
    gone = [f"{level}/alpha/{day(days + 1)}.{name}" for name in ("2.jsonl", "jsonl.gz")]
    assert deeds(retention, policy) == [("remove", name, False) for name in gone]


def test_a_quiet_host_is_swept_too_and_strange_files_are_left(
    retention: ModuleType, policy: dict[str, Any], tmp_path: Path
) -> None:
    put(tmp_path, f"debug/gone/{day(40)}.jsonl.gz")
    for name in ("debug/gone/notes.txt", f"debug/gone/.{day(40)}.jsonl.gz", f"debug/{day(40)}.jsonl"):
        put(tmp_path, name)
    (tmp_path / "debug/gone" / f"{day(41)}.jsonl").symlink_to("/etc/passwd")
    assert deeds(retention, policy) == [("remove", f"debug/gone/{day(40)}.jsonl.gz", False)]


def test_only_what_is_settled_is_compressed(retention: ModuleType, policy: dict[str, Any], tmp_path: Path) -> None:
    put(tmp_path, f"info/alpha/{day(0)}.jsonl")
    put(tmp_path, f"info/alpha/{day(0)}.1.jsonl", age_s=60)
    put(tmp_path, f"info/bravo/{day(1)}.jsonl", age_s=60)
    put(tmp_path, f"info/ops/{day(1)}.jsonl", age_s=1300)
    assert deeds(retention, policy) == [("compress", f"info/ops/{day(1)}.jsonl", False)]


def test_a_flood_costs_the_oldest_of_its_own_level(
    retention: ModuleType, policy: dict[str, Any], tmp_path: Path
) -> None:
    for ago in (3, 2, 1):
        put(tmp_path, f"debug/alpha/{day(ago)}.jsonl.gz", size=1_000_000)
    put(tmp_path, f"debug/alpha/{day(0)}.jsonl", size=1_500_000)
    put(tmp_path, f"critical/alpha/{day(300)}.jsonl.gz", size=2_900_000)
    assert deeds(retention, policy) == [
        ("divide", f"debug/alpha/{day(0)}.jsonl", False),
        ("remove", f"debug/alpha/{day(3)}.jsonl.gz", True),
        ("remove", f"debug/alpha/{day(2)}.jsonl.gz", True),
    ]


def test_parts_keep_their_order_and_their_content(
    retention: ModuleType, policy: dict[str, Any], tmp_path: Path
) -> None:
    file = put(tmp_path, f"info/alpha/{day(0)}.jsonl")
    put(tmp_path, f"info/alpha/{day(0)}.9.jsonl.gz")
    retention.carry_out(retention.Deed("divide", file))
    part = file.with_name(f"{day(0)}.10.jsonl")
    retention.carry_out(retention.Deed("compress", part))
    packed = file.with_name(f"{day(0)}.10.jsonl.gz")
    assert not part.exists() and not file.exists()
    assert gzip.decompress(packed.read_bytes()) == b"x" * 10
    assert packed.stat().st_mtime == NOW.timestamp() - LONG_AGO_S
    assert packed.stat().st_mode & 0o777 == 0o640
    retention.carry_out(retention.Deed("remove", part))
    assert not packed.exists()

"""What the benchmark of restores says of its measurements, without measuring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import outcome, report, repositories, restore, settings

GB = 1_000_000_000
BARS = {"restore_disk_ratio_min": 0.8, "delta_full_ratio_max": 0.25, "delta_changed_pages_ratio": 0.01}


def run(elapsed_s: float, *, size_bytes: float = 4 * GB, cpu_s: float = 4.0) -> dict[str, float]:
    return {"elapsed_s": elapsed_s, "flush_s": 0.1, "cpu_s": cpu_s, "bytes": size_bytes, "disk_bytes_per_s": GB}


def test_the_median_is_what_counts() -> None:
    case = outcome.of_case([run(4), run(40), run(5)], cores=2)
    assert case["elapsed_s"] == {"median": 5, "min": 4, "max": 40}
    assert case["bytes_per_s"]["median"] == pytest.approx(0.8 * GB)
    assert case["disk_ratio"]["median"] == pytest.approx(0.8)
    assert case["cpu_ratio"] == pytest.approx(4 / 5 / 2)


def test_nothing_measured_has_no_median() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        outcome.spread([])


@pytest.mark.parametrize(
    ("full_s", "delta_s", "holds"),
    [
        (5.0, 1.25, [True, True]),
        (5.01, 1.0, [False, True]),
        (4.0, 1.01, [True, False]),
        (40.0, 39.0, [False, False]),
    ],
)
def test_a_bar_holds_up_to_its_edge(full_s: float, delta_s: float, holds: list[bool]) -> None:
    full = outcome.of_case([run(full_s)], cores=2)
    delta = outcome.of_case([run(delta_s)], cores=2)
    found = outcome.verdicts(full, {"random": delta}, BARS)
    assert [bar["holds"] for bar in found] == holds
    assert ["does not hold" not in bar["sentence"] for bar in found] == holds


def test_options_to_try() -> None:
    assert outcome.options_of("process-max=4, compress-level=1") == {"process-max": "4", "compress-level": "1"}
    for wrong in ("process-max", "=4", "process-max=", ""):
        with pytest.raises(ValueError, match="is no name=value"):
            outcome.options_of(wrong)


def test_a_wrong_try_is_bad_usage_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        restore.arguments(["--try", "process-max"])
    assert "'process-max' is no name=value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({"process-max": "4"}, False),
        ({"compress-level": "1"}, True),
        ({"buffer-size": "4MiB", "repo1-bundle": "y"}, True),
    ],
)
def test_what_a_backup_decides_needs_one(options: dict[str, str], needs: bool) -> None:
    assert repositories.needs_backup(options) is needs


def test_tills_configuration_is_the_roles_own() -> None:
    policy = settings.role("pgbackrest")
    lines = repositories.till_conf("canary-key").splitlines()
    assert f"process-max={policy['pgbackrest_processes']}" in lines
    assert f"compress-level={policy['pgbackrest_zstd_level']}" in lines
    assert {"compress-type=zst", "repo1-cipher-type=aes-256-cbc", "repo1-cipher-pass=canary-key"} <= set(lines)
    assert not [line for line in lines if "repo1-host" in line or "pg1-host" in line]
    changed = repositories.with_options(repositories.till_conf("k"), {"process-max": "9", "buffer-size": "4MiB"})
    tried = changed.splitlines()
    assert [line for line in tried if line.startswith("process-max=")] == ["process-max=9"]
    assert tried[tried.index("[global]") + 1] == "buffer-size=4MiB"


def test_a_restore_of_tills_has_processes_as_pgbackrest_takes_them() -> None:
    # 0 is the role's own word for all cores; pgBackRest refuses it.
    assert 1 <= settings.restore_processes() <= 999


def test_the_bars_have_the_names_that_verdicts_ask_for() -> None:
    assert settings.bars().keys() == BARS.keys()


def test_too_small_a_disk_is_named_before_anything_is_made() -> None:
    restore.room(outcome.needed_bytes(5 * GB, 2), outcome.needed_bytes(5 * GB, 2))
    with pytest.raises(RuntimeError, match=r"10\.0 GB free, this run takes up to .* Next: docker system df"):
        restore.room(10 * GB, outcome.needed_bytes(5 * GB, 2))


def test_the_result_in_sentences() -> None:
    full = outcome.of_case([run(5)], cores=2)
    result: dict[str, Any] = {
        "database_bytes": 4 * GB,
        "database_rows": 7,
        "disk_bytes_per_s": {"median": 1 * GB, "min": 1 * GB, "max": 2 * GB, "all": [1 * GB, 2 * GB]},
        "machine": {
            "cores": 2,
            "processor": "P",
            "disk": "virtual",
            "file_system": "ext4",
            "postgresql": "p",
            "pgbackrest": "b",
        },
        "repositories": {"till": {"bytes": 1 * GB, "compression_ratio": 4.0, "elapsed_s": 9.0}},
        "changed_pages_ratio": {"random": {"median": 0.0098, "min": 0.0098, "max": 0.0098}},
        "changed_files": {"random": [6, 900]},
        "bars": outcome.verdicts(full, {"random": full}, BARS),
    }
    told = report.lines(json.loads(json.dumps(result)))
    assert "disk, written in sequence: median 1000 MB/s, 1000 to 2000 in 2 probes" in told
    assert "random pages changed: 0.98% of all, in 6 of 900 files" in told
    assert told[-1].endswith("100.0%, the bar asks at most 25%: does not hold")


def test_pages_that_differ_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(settings.CHECKOUT / "benchmarks" / "files"))
    import measure

    for side, second in (("left", b"b"), ("right", b"c")):
        folder = tmp_path / side / "base" / "5"
        folder.mkdir(parents=True)
        (folder / "16384").write_bytes(b"a" * 8192 + second * 8192 + b"d" * 8192)
        (folder / "PG_VERSION").write_text(side)
    (tmp_path / "left" / "base" / "5" / "16384.1").write_bytes(b"e" * 8192)
    told = measure.compare({"left": str(tmp_path / "left"), "right": str(tmp_path / "right")})
    assert told == {"pages": 4, "changed_pages": 2, "files": 2, "changed_files": 2}

"""No test of the fault matrix is forgotten, and a run that was cut off goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scheduling import (
    CHECKOUT,
    MATRIX,
    Result,
    format_table,
    keep_result,
    parse_shards,
    passed_tests,
    read_results,
    scope,
    shards,
)

FIRST_FILE = shards()[0].files[0]
ONE, TWO = f"{FIRST_FILE}::test_one", f"{FIRST_FILE}::test_two[a]"


def test_each_file_with_a_test_of_the_matrix_is_in_one_shard() -> None:
    marker = f"pytest.mark.{MATRIX}"
    marked = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "tests" / "fleet").glob("test_*.py")
        if marker in path.read_text()
    }
    listed = [file for shard in shards() for file in shard.files]
    assert sorted(marked) == sorted(listed)
    assert len(shards()) <= 8


def test_a_shard_is_asked_for_by_its_number() -> None:
    count = len(shards())
    assert parse_shards("all") == shards()
    assert parse_shards(f"2/{count}") == (shards()[1],)
    for wrong in ("", "0/8", f"{count + 1}/{count}", f"1/{count + 1}", "2", "x/8", "-1/8", f"1/{count}/2", "²/8"):
        with pytest.raises(pytest.UsageError, match=f"1/{count} to {count}/{count}"):
            parse_shards(wrong)


def test_the_labs_tests_are_one_scope_and_others_are_their_files() -> None:
    assert scope("tests/fleet/test_lab.py::test_x") == scope("tests/browser/test_purchase.py::test_y[en]")
    assert scope("tests/till/rollout/test_plan.py::test_z") == "tests/till/rollout/test_plan.py"


def test_what_passed_on_the_same_code_is_not_run_again(tmp_path: Path) -> None:
    file = tmp_path / "tests" / "faults.jsonl"
    assert read_results(file) == []
    keep_result(file, Result(ONE, "tree", "passed", 2.0, 1.0))
    keep_result(file, Result(TWO, "tree", "passed", 2.0, 1.0))
    keep_result(file, Result(TWO, "tree", "failed", 2.0, 2.0))
    # A run that is killed in the middle of a line.
    with file.open("a") as results:
        results.write('{"test": "cut')
    found = read_results(file)
    assert passed_tests(found, "tree") == {ONE}
    assert passed_tests(found, "other code") == set()


def test_the_table_tells_what_is_left() -> None:
    results = [Result(ONE, "tree", "passed", 120.0, 1.0), Result(TWO, "old", "passed", 60.0, 1.0)]
    header, first, *_ = format_table({ONE, TWO}, results, "tree")
    assert header.split()[:3] == ["shard", "passed", "failed"]
    assert first.split()[:5] == [f"1/{len(shards())}", "1", "0", "1", "2.0"]

"""What the benchmark of the canary's judge counts."""

from __future__ import annotations

import json
import random

import pytest

from benchmarks import judge, watch
from till_host.judging.counts import Counts


def test_a_plain_threshold_fails_by_one_error_of_twenty() -> None:
    second = (Counts(45), Counts(5))
    assert judge.plain([second] * 60) == judge.Run(passed_at=200)
    assert judge.plain([second] * 5 + [(Counts(45), Counts(5, 1))] + [second] * 60) == judge.Run(failed_at=40)


def test_ten_plain_checks_abort_most_healthy_releases() -> None:
    chance = random.Random(1)
    runs = [judge.plain([(Counts(), judge.drawn(chance, 0.005, 5)) for _ in range(40)]) for _ in range(300)]
    assert judge.figures(runs)["failed_ratio"] == pytest.approx(1 - 0.995**200, abs=0.08)


def test_a_canary_that_breaks_late_is_well_before() -> None:
    seconds = judge.traffic(random.Random(1), judge.Case("late", 0.0, 1.0, well_looks=300))
    assert [canary.bad for _, canary in seconds] == [0] * 300 + [5] * 300


def test_figures_leave_out_what_never_was() -> None:
    found = judge.figures([judge.Run(10), judge.Run(30, 20), judge.Run(None, 40), judge.Run()])
    assert found["failed_ratio"] == 0.5 and found["passed_ratio"] == 0.5 and found["undecided_ratio"] == 0.25
    assert found["mean_requests_to_fail"] == 20 and found["median_requests_to_pass"] == 30
    assert judge.figures([judge.Run()])["mean_requests_to_fail"] is None


def test_the_result_is_one_object(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "LOOKS", 3)
    monkeypatch.setattr(watch, "HEALTHY", (watch.Hour(1, 0.04),))
    monkeypatch.setattr(watch, "BREAKS", (watch.Break(0.04, 100),))
    assert judge.main(["--runs", "1", "--hours", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    broken = next(case for case in result["cases"] if case["name"] == "fails all")
    assert broken["till"]["mean_requests_to_fail"] == 5
    assert [one["history"] for one in result["watch"]["hours"]] == list(watch.HISTORIES)
    assert {one["taken_back"] for one in result["watch"]["hours"]} == {0}
    assert result["watch"]["breaks"][0]["runs"] == 2
    assert judge.main(["--runs", "1", "--hours", "1"]) == 0
    shown = capsys.readouterr().out
    assert "plain threshold" in shown and "healthy hours of a watch" in shown


def test_what_was_never_detected_counts_as_late() -> None:
    found = watch.figures([10, 20, None, 0])
    assert (found["early_ratio"], found["missed_ratio"], found["median_payments"]) == (0.25, 0.25, 15)
    assert found["p95_payments"] > watch.BAD_PAYMENTS_MAX

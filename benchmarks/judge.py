"""Measures how often canaries and watched releases are judged wrongly. See README.md.

    python -m benchmarks.judge [--runs 200] [--hours 100] [--full] [--json]

Draws requests of a canary and of the release beside it, looks after each second, and lets Till's judge and a plain
threshold decide on the same requests; then payments of the hour after a release (`benchmarks.watch`). No container, no
network; the same seed gives the same figures.

Exit codes: 0 measured, 2 bad usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import watch
from till.policy import thresholds
from till_host.judging import evidence, judge
from till_host.judging.counts import Counts
from till_host.judging.rules import Rule

SEED = 20261125
LOOKS = 600
FULL_RUNS = 400
BASELINE_PER_LOOK = 45
CANARY_PER_LOOK = 5
# Flagger's way: a check fails below a success rate, a release is through after some checks.
PLAIN_REQUESTS = 20
PLAIN_CHECKS = 10
PLAIN_SUCCESS_MIN_RATIO = 0.99
INTERRUPTED = 130


@dataclass(frozen=True)
class Case:
    """True shares of failing requests; the canary is as the other one for its first `well_looks`."""

    name: str
    baseline_ratio: float
    canary_ratio: float
    well_looks: int = 0


@dataclass(frozen=True)
class Run:
    """Canary requests until each verdict; None is never."""

    failed_at: int | None = None
    passed_at: int | None = None


CASES = (
    Case("equal", 0.0005, 0.0005),
    Case("equal", 0.001, 0.001),
    Case("equal", 0.005, 0.005),
    Case("equal", 0.01, 0.01),
    Case("worse", 0.001, 0.006),
    Case("worse", 0.001, 0.01),
    Case("worse", 0.001, 0.02),
    Case("worse", 0.005, 0.02),
    Case("worse", 0.005, 0.05),
    Case("worse", 0.005, 0.10),
    Case("worse", 0.005, 0.50),
    Case("fails all", 0.005, 1.0),
    Case("breaks after 5 minutes", 0.005, 0.10, well_looks=300),
)


def drawn(chance: random.Random, ratio: float, requests: int) -> Counts:
    """That many requests, each of which fails with this share."""
    return Counts(requests, sum(chance.random() < ratio for _ in range(requests)))


def traffic(chance: random.Random, case: Case) -> list[tuple[Counts, Counts]]:
    """What came in each second, beside and on the canary."""
    return [
        (
            drawn(chance, case.baseline_ratio, BASELINE_PER_LOOK),
            drawn(chance, case.canary_ratio if look >= case.well_looks else case.baseline_ratio, CANARY_PER_LOOK),
        )
        for look in range(LOOKS)
    ]


def sequential(seconds: Sequence[tuple[Counts, Counts]], rule: Rule) -> Run:
    """Till's judge, asked each second; one that has passed is watched on, as in a rollout."""
    state, passed_at = judge.begin(rule), None
    for baseline, canary in seconds:
        state = evidence.counted(state, state.seen_baseline + baseline, state.seen_canary + canary, rule)
        verdict = judge.verdict(state, rule)
        if verdict == "fail":
            return Run(state.canary.requests, passed_at)
        if verdict == "pass" and passed_at is None:
            passed_at = state.canary.requests
    return Run(None, passed_at)


def plain(seconds: Sequence[tuple[Counts, Counts]]) -> Run:
    """A threshold on each PLAIN_REQUESTS of the canary; through after PLAIN_CHECKS."""
    check, requests = Counts(), 0
    for _, canary in seconds:
        check += canary
        if check.requests < PLAIN_REQUESTS:
            continue
        requests += check.requests
        if 1 - check.bad_ratio < PLAIN_SUCCESS_MIN_RATIO:
            return Run(failed_at=requests)
        if requests >= PLAIN_REQUESTS * PLAIN_CHECKS:
            return Run(passed_at=requests)
        check = Counts()
    return Run()


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Shares of runs, and canary requests until a verdict (of the runs that had it)."""
    failed = [run.failed_at for run in runs if run.failed_at is not None]
    passed = [run.passed_at for run in runs if run.passed_at is not None]
    return {
        "failed_ratio": len(failed) / len(runs),
        "passed_ratio": len(passed) / len(runs),
        "undecided_ratio": sum(run == Run() for run in runs) / len(runs),
        "mean_requests_to_fail": statistics.fmean(failed) if failed else None,
        "p95_requests_to_fail": sorted(failed)[math.ceil(0.95 * len(failed)) - 1] if failed else None,
        "median_requests_to_pass": statistics.median(passed) if passed else None,
    }


def measured(runs: int, cases: Sequence[Case] = CASES) -> dict[str, Any]:
    """Every case, by both judges."""
    rule, began = judge.rules(thresholds()["judge"])["errors"], time.monotonic()
    found = []
    for case in cases:
        chance = random.Random(SEED)  # noqa: S311 - repeatable, and no secret
        till, threshold = [], []
        for _ in range(runs):
            seconds = traffic(chance, case)
            till.append(sequential(seconds, rule))
            threshold.append(plain(seconds))
        found.append({**asdict(case), "till": figures(till), "plain": figures(threshold)})
    return {
        "ok": True,
        "runs": runs,
        "looks": LOOKS,
        "canary_requests": LOOKS * CANARY_PER_LOOK,
        "rule": asdict(rule),
        "duration_s": round(time.monotonic() - began, 1),
        "cases": found,
    }


def full(runs: int, hours: int, breaks: int) -> dict[str, Any]:
    """Canaries and the watch."""
    result, began = measured(runs), time.monotonic()
    watched = watch.measured(hours, breaks)
    return {**result, "watch": {**watched, "duration_s": round(time.monotonic() - began, 1)}}


def show(result: dict[str, Any], console: Console) -> None:
    """Print the result as a table."""
    table = Table(title=f"{result['runs']} rollouts each, {result['looks']} looks, Till | plain threshold")
    for column in ("canary", "beside", "on canary", "failed", "passed", "mean requests to fail", "median to pass"):
        table.add_column(column)
    for case in result["cases"]:
        both = [case["till"], case["plain"]]
        table.add_row(
            case["name"],
            f"{case['baseline_ratio']:.2%}",
            f"{case['canary_ratio']:.2%}",
            *(" | ".join(f"{one[key]:.1%}" for one in both) for key in ("failed_ratio", "passed_ratio")),
            *(
                " | ".join("-" if one[key] is None else f"{one[key]:.0f}" for one in both)
                for key in ("mean_requests_to_fail", "median_requests_to_pass")
            ),
        )
    console.print(table)
    show_watch(result["watch"], console)


def show_watch(found: dict[str, Any], console: Console) -> None:
    """Print what the watch did with healthy and with bad releases."""
    table = Table(title="healthy hours of a watch, looked at at each payment")
    for column in ("payments a minute", "fail", "before the deploy", "hours", "taken back", "people asked"):
        table.add_column(column)
    for one in found["hours"]:
        shares = (f"{one['natural_ratio']:.0%}", str(one["history"]), str(one["hours"]))
        table.add_row(str(one["rate_per_min"]), *shares, str(one["taken_back"]), str(one["people_asked"]))
    console.print(table)
    table = Table(title=f"releases of which {found['bad_ratio']:.0%} of payments fail, payments until taken back")
    for column in ("before", "before the deploy", "well for", "runs", "median", "95 %", "early", "missed"):
        table.add_column(column)
    for one in found["breaks"]:
        table.add_row(
            f"{one['natural_ratio']:.0%}", *(str(one[name]) for name in ("history", "well", "runs")),
            f"{one['median_payments']:.0f}", str(one["p95_payments"]),
            *(f"{one[name]:.1%}" for name in ("early_ratio", "missed_ratio")),
        )  # fmt: skip
    console.print(table)


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="rollouts of each case (200)")
    parser.add_argument("--json", action="store_true", help="one object on stdout")
    parser.add_argument("--hours", type=int, default=100, help="healthy hours of each watch, bad releases too (100)")
    parser.add_argument("--full", action="store_true", help=f"{FULL_RUNS} rollouts and {watch.HOURS} hours")
    options = parser.parse_args(argv)
    if options.runs < 1 or options.hours < 1:
        parser.error("--runs and --hours must be 1 or more")
    runs, hours = (FULL_RUNS, watch.HOURS) if options.full else (options.runs, options.hours)
    try:
        result = full(runs, hours, hours)
    except KeyboardInterrupt:
        return INTERRUPTED
    if options.json:
        print(json.dumps(result))
    else:
        show(result, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())

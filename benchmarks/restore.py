"""Measures restores: `python -m benchmarks.restore [--size-gb 5] [--rounds 3] [--json]`. See README.md beside it.

One container of the lab's image holds one PostgreSQL with data checksums and pgBackRest repositories on its own disk.
Left out: the network and TLS between a repository's host and a database's, S3, and the replay of WAL.

Exit codes: 0 measured (whether a bar holds or not), 1 not, 2 bad usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from benchmarks import cases, container, outcome, report, settings
from infra.lab import docker, images

GB = 1_000_000_000
LIFETIME_S = 4 * 3600
INTERRUPTED = 130


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Bring up, measure, remove; raises DockerError, RuntimeError."""
    size_bytes = int(options.size_gb * GB)
    began, bars = time.monotonic(), settings.bars()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with container.running(images.newest("till-lab"), LIFETIME_S) as place:
        facts = place.measure("facts", 60, folder=container.WORK)
        room(facts["free_bytes"], outcome.needed_bytes(size_bytes, 2 + len(options.tries)))
        bench = cases.Bench(place, size_bytes, bars["delta_changed_pages_ratio"], say)
        every = bench.prepare(options.tries)
        bench.measure(every, options.rounds)
        bench.check(every[-1])
        found = cases.result(bench, every, facts, bars)
    return {"ok": True, "started_at": started_at, "duration_s": round(time.monotonic() - began, 1), **found}


def room(free_bytes: int, needed_bytes: int) -> None:
    """Raise RuntimeError where the disk has not what a run takes."""
    if free_bytes < needed_bytes:
        raise RuntimeError(
            f"Docker's volumes have {free_bytes / GB:.1f} GB free, this run takes up to {needed_bytes / GB:.1f} GB."
            " Next: docker system df, or a smaller --size-gb"
        )


def say(sentence: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {sentence}", file=sys.stderr, flush=True)


def tried(text: str) -> dict[str, str]:
    """An argument of --try; argparse says the reason only of its own error."""
    try:
        return outcome.options_of(text)
    except ValueError as reason:
        raise argparse.ArgumentTypeError(str(reason)) from None


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restore", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size-gb", type=float, default=5.0, help="size of the table; its indexes come on top (5)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (3)")
    parser.add_argument("--json", action="store_true", help="one object on stdout")
    parser.add_argument(
        "--try",
        dest="tries",
        action="append",
        default=[],
        type=tried,
        metavar="NAME=VALUE,...",
        help="a further case: Till's settings with these options of pgBackRest set otherwise; may be given again",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    options = arguments(argv)
    try:
        result = measured(options)
    except (docker.DockerError, RuntimeError) as reason:
        print(f"benchmark: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmark: interrupted, its container is removed", file=sys.stderr)
        return INTERRUPTED
    if options.json:
        print(json.dumps(result))
    else:
        report.show(result, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())

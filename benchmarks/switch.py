"""Measures switches under load: `python -m benchmarks.switch [--rounds 100] [--json]`. See README.md beside it.

Needs a lab that is up. Visits come at a fixed rate through DNS and TLS, whatever answers take; releases are switched by
the same calls as in a deploy and in a rollback, under the stack's lock. What served before serves afterwards.

Exit codes: 0 measured (whether a bar holds or not), 1 not, 2 bad usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import settings, switch_outcome, switching
from till import redact
from till.changes import fleet_lock
from till.changes.change import change
from till.errors import TillError
from till.hosts.session import open_session
from till.platforms.vps.edges import Edges
from till.progress import Progress
from till.stacks import stack

BARS = Path(__file__).with_name("switch_bars.yml")
INTERRUPTED = 130


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, visit, switch, lead home; raises TillError."""
    progress, contract = Progress(), stack.contract(options.stack)
    started_at, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    load_before = os.getloadavg()[0]
    serving, warm, before = switching.prepared(contract, progress)
    with (
        open_session(contract) as session,
        change(options.stack, "benchmark switch", progress, redact.of(contract), session),
        fleet_lock.hold_fleet_lock(session, "benchmark switch") as held,
    ):
        deadline = time.monotonic() + options.limit_s
        bench = switching.Bench(session, Edges(session, held.token), held.check, options.per_s, deadline)
        try:
            progress.say("visits without a switch")
            without = bench.visited(options.calm_s)
            progress.say(f"{options.rounds} switches between {serving} and {warm}")
            during, switches = bench.switched(serving, warm, options.rounds, options.pause_s)
            # Before and after, so that what drifts meanwhile counts on both sides.
            without += bench.visited(options.calm_s)
            idle = bench.idle(max(1, options.rounds // switching.IDLE_PART), options.pause_s)
            peers: dict[str, Any] = {switching.IDLE: switch_outcome.figures(idle)}
            for name, seen in bench.peers(options.peer_rounds):
                progress.say(f"measured beside it: {name}")
                peers[name] = switch_outcome.figures(seen) if seen else None
        finally:
            bench.home(before)
    return {
        "ok": True,
        "started_at": started_at,
        "duration_s": round(time.monotonic() - began, 1),
        "machine": {"cores": os.cpu_count(), "load_before": load_before},
        "per_s": options.per_s,
        "releases": [serving, warm],
        **switch_outcome.result(without, during, switches, settings.bars(BARS)),
        "peers": peers,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print the figures as a table, then each bar's sentence."""
    table = Table(title=f"{result['switches']} switches, {result['per_s']:g} visits a second")
    for column in ("", "requests", "failed", "p50 ms", "p99 ms"):
        table.add_column(column)
    rows = {"without switches": result["without"], "with switches": result["with"], **result["peers"]}
    for name, one in rows.items():
        told = ("-",) * 4 if one is None else tuple(str(one[key]) for key in ("requests", "failed", "p50_ms", "p99_ms"))
        table.add_row(name, *told)
    console.print(table)
    for bar in result["bars"]:
        console.print(bar["sentence"])


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.switch", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack", default="lab", help="a lab that is up (lab)")
    parser.add_argument("--rounds", type=int, default=100, help="switches, deploys and rollbacks in turn (100)")
    parser.add_argument("--per-s", type=float, default=40, help="visits a second (40)")
    parser.add_argument("--pause-s", type=float, default=1.5, help="between two switches (1.5)")
    parser.add_argument("--calm-s", type=float, default=60, help="visits without a switch, before and after each (60)")
    parser.add_argument("--peer-rounds", type=int, default=5, help="how often each other way is measured (5)")
    parser.add_argument("--limit-s", type=float, default=1200, help="after that nothing more is begun (1200)")
    parser.add_argument("--json", action="store_true", help="one object on stdout")
    options = parser.parse_args(argv)
    if options.rounds < 1 or options.per_s <= 0 or options.calm_s <= 0 or options.peer_rounds < 0:
        parser.error("--rounds must be 1 or more, --per-s and --calm-s above 0, --peer-rounds 0 or more")
    return options


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    options = arguments(argv)
    # Like Ctrl-C: the release that served is led back.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = measured(options)
    except TillError as reason:
        print(f"benchmark: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmark: interrupted, what served before serves", file=sys.stderr)
        return INTERRUPTED
    if options.json:
        print(json.dumps(result))
    else:
        show(result, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The stack's lock in etcd, for a runner that holds this program by its stdin.

    lease hold --verb V --by WHO --host HOST --since ISO [--place ID]    take it; with --resume TOKEN go on holding it
    lease show                                                           {"holder": who holds it, or null}

`hold` answers with a JSON object on a line: {"token": N} when it holds, {"refused": holder} when somebody else does,
{"gone": true} when a resumed token holds it no more, {"away": reason} without a majority. Each line on stdin renews the
lease and is answered so, too; "release" gives the lock back. Without lines, or at the end of stdin, the lease is left
to end by itself: the runner may go on by another host, and what a killed one began may still be under way.

Exit codes: 0 done, 1 etcd is away, 2 bad usage, 5 not or no longer held. Settings: /etc/till/lease.json.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from pathlib import Path
from typing import Any

from till_host.change_lock import lock
from till_host.change_lock.lock import Gone, Holder, Taken
from till_host.etcd import Etcd

SETTINGS = Path("/etc/till/lease.json")
RELEASE = "release"
AWAY, NOT_HELD = 1, 5


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def heard(timeout_s: float) -> str:
    """What the runner says next; empty when it says nothing in time, or nothing any more."""
    ready, _, _ = select.select([0], [], [], timeout_s)
    return os.read(0, 4096).decode() if ready else ""


def hold(store: Etcd, who: dict[str, str], resume: int, lifetime_s: int) -> int:
    try:
        held = lock.renew(store, resume) if resume else lock.take(store, who, lifetime_s)
        tell(token=held["token"])
        while words := heard(lifetime_s):
            if RELEASE in words:
                lock.release(store, held)
                return 0
            renew(store, held)
    except Taken as reason:
        tell(refused=shown(reason.holder))
        return NOT_HELD
    except Gone:
        tell(gone=True)
        return NOT_HELD
    return 0


def renew(store: Etcd, held: Holder) -> None:
    try:
        lock.renew(store, held["token"])
    except OSError as reason:
        # The runner decides how long it waits; the majority may be back for its next line.
        tell(away=str(reason))
    else:
        tell(token=held["token"])


def shown(holder: Holder | None) -> Holder | None:
    """Without what only its holder has a use for."""
    return {key: value for key, value in holder.items() if key != "lease"} if holder else None


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="command", required=True)
    verbs.add_parser("show")
    holding = verbs.add_parser("hold")
    for word in ("verb", "by", "host", "since"):
        holding.add_argument(f"--{word}", required=True)
    holding.add_argument("--place", default="", help="what only the same machine's lock of the stack says")
    holding.add_argument("--lifetime-s", type=int, default=15)
    holding.add_argument("--resume", type=int, default=0, metavar="TOKEN")
    given = vars(parser.parse_args(arguments))
    settings = json.loads(SETTINGS.read_text())
    store = Etcd(settings["etcd"], settings["etcd_timeout_s"], rest_s=0)
    try:
        if given.pop("command") == "show":
            tell(holder=shown(lock.show(store)))
            return 0
        resume, lifetime_s = given.pop("resume"), given.pop("lifetime_s")
        return hold(store, given, resume, lifetime_s)
    except BrokenPipeError:
        # Nobody listens: the same as the end of stdin. What Python flushes at its end would say so again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as reason:
        print(f"lease: {reason}", file=sys.stderr)
        return AWAY

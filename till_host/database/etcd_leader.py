"""Have the preferred member lead the consensus store: each lease restarts when the leading member dies.

    etcd-lead PREFERRED_ENDPOINT              once
    etcd-lead PREFERRED_ENDPOINT --every-s N  again and again, in one process

Prints `moved` when another one led; endpoints and certificates stand in the environment as etcdctl wants them. Ends
with 1 and a sentence when the store does not answer; a preferred member that is away is no error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from till_host.faults import Fault

TIMEOUT_S = 20


def etcdctl(*arguments: str, endpoint: str = "") -> str:
    environment = {**os.environ, **({"ETCDCTL_ENDPOINTS": endpoint} if endpoint else {})}
    done = subprocess.run(
        ["etcdctl", *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=environment
    )
    # One member that is away makes `endpoint status` fail; what the others said is printed all the same.
    if not done.stdout.strip():
        raise Fault(done.stderr.strip()[-300:] or f"etcdctl ended with {done.returncode}")
    return done.stdout


def to_move(status: list[dict[str, Any]], preferred: str) -> tuple[str, str]:
    """The endpoint that leads and the preferred member's id (hex); two empty ones when there is nothing to do. Pure."""
    by_endpoint = {one["Endpoint"]: one["Status"] for one in status}
    if preferred not in by_endpoint:
        return "", ""
    wanted, leader = by_endpoint[preferred]["header"]["member_id"], by_endpoint[preferred]["leader"]
    leading = [endpoint for endpoint, told in by_endpoint.items() if told["header"]["member_id"] == leader]
    return (leading[0], f"{wanted:x}") if leading and wanted != leader else ("", "")


def look(preferred: str) -> int:
    """Move the lead if another member has it; 1 where the store does not answer."""
    try:
        leading, wanted = to_move(json.loads(etcdctl("endpoint", "status", "-w", "json")), preferred)
        if leading:
            etcdctl("move-leader", wanted, endpoint=leading)
            print(f"moved from {leading} to {preferred}", flush=True)
    except (Fault, ValueError, KeyError, subprocess.TimeoutExpired) as reason:
        print(f"etcd-lead: {reason}", file=sys.stderr, flush=True)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preferred")
    parser.add_argument("--every-s", type=float, default=0)
    asked = parser.parse_args()
    while True:
        code = look(asked.preferred)
        if not asked.every_s:
            return code
        time.sleep(asked.every_s)

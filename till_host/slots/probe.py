"""Ask releases in slots of this host, past the edge, so that one can be judged before anybody meets it.

    slot-probe ask REQUESTS WARM_UP CONCURRENCY TIMEOUT_S SLOW_S SLOT[,SLOT] PATH...
                              so many requests to each slot, in turn, after some to warm up; paths in turn; fewer where
                              most of the first ones are bad or slow; prints {SLOT: {"requests", "bad", "slow",
                              "p95_ms", "cpu_s", "faults"}}
    slot-probe usage SLOT     prints {"memory_bytes", "memory_max_bytes", "restarts"}

null: not known here. cpu_s: processor time that the slot's processes took meanwhile.
bad: no answer in time, or a status of 500 and above. Exit codes: 0 asked, 1 not possible, 2 bad usage.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from till_host.faults import Fault
from till_host.slots import state as slots

FAULTS_KEPT = 5
# After so many requests nothing good is to be learned where more than half were bad or slow.
ENOUGH = 50
USAGE = {
    "MemoryCurrent": "memory_bytes",
    "MemoryMax": "memory_max_bytes",
    "NRestarts": "restarts",
}


class Asked:
    """What was answered until now; for several threads."""

    def __init__(self, slow_s: float) -> None:
        self.slow_s, self.times_s, self.bad = slow_s, list[float](), 0
        self.faults: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, took_s: float, fault: str) -> None:
        with self._lock:
            self.times_s.append(took_s)
            if fault:
                self.bad += 1
                self.faults[fault] = self.faults.get(fault, 0) + 1

    def hopeless(self) -> bool:
        with self._lock:
            slow = sum(1 for one in self.times_s if one > self.slow_s)
            return len(self.times_s) >= ENOUGH and max(self.bad, slow) > len(self.times_s) / 2

    def told(self) -> dict[str, Any]:
        times = sorted(self.times_s)
        most = sorted(self.faults.items(), key=lambda one: -one[1])[:FAULTS_KEPT]
        return {
            "requests": len(times),
            "bad": self.bad,
            "slow": sum(1 for one in times if one > self.slow_s),
            "p95_ms": round(times[int(0.95 * (len(times) - 1))] * 1000, 1) if times else None,
            "faults": [f"{count} x {fault}" for fault, count in most],
        }


def ask(
    ports: dict[str, int], paths: list[str], requests: int, concurrency: int, timeout_s: float, slow_s: float
) -> dict[str, Asked]:
    """What each slot answered. They are asked in turn, so that what else the host does meets all alike."""
    asked = {slot: Asked(slow_s) for slot in ports}
    turns = iter([(slot, paths[number % len(paths)]) for number in range(requests) for slot in ports])
    lock = threading.Lock()

    def one() -> None:
        while not any(seen.hopeless() for seen in asked.values()):
            with lock:
                slot, path = next(turns, ("", ""))
            if not slot:
                return
            began = time.monotonic()
            fault = answered(ports[slot], path, timeout_s)
            asked[slot].add(time.monotonic() - began, fault)

    threads = [threading.Thread(target=one) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return asked


def measured(ports: dict[str, int], warm_up: int, requests: int, how: tuple[list[str], int, float, float]) -> Any:
    """The same, told, after some requests that don't count: a release that has just begun is slow at first."""
    paths, concurrency, timeout_s, slow_s = how
    ask(ports, paths, warm_up, concurrency, timeout_s, slow_s)
    before = {slot: cpu_s(slot) for slot in ports}
    asked = ask(ports, paths, requests, concurrency, timeout_s, slow_s)
    return {slot: {**seen.told(), "cpu_s": _grown(before[slot], cpu_s(slot))} for slot, seen in asked.items()}


def _grown(before: float | None, after: float | None) -> float | None:
    # A slot that began anew meanwhile has lost what it took before.
    known = before is not None and after is not None and after >= before
    return round(after - before, 3) if known else None  # type: ignore[operator]


def cpu_s(slot: str) -> float | None:
    """Processor time that the slot's processes have taken until now; None where nothing runs."""
    command = ["/usr/bin/systemctl", "show", "-P", "MainPID", f"app@{slot}.service"]
    main = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    parents, ticks = processes()
    family = {int(main)} if main.isdigit() and int(main) in ticks else set[int]()
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks[pid] for pid in family) / os.sysconf("SC_CLK_TCK") if family else None


def processes() -> tuple[dict[int, int], dict[int, int]]:
    """Each process's parent, and the ticks of processor time that it took (proc(5): stat)."""
    parents, ticks = dict[int, int](), dict[int, int]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            pid = int(path.parent.name)
            parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    return parents, ticks


def answered(port: int, path: str, timeout_s: float) -> str:
    """Empty when it was answered well, else what was wrong."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        answer.read()
        return f"{path}: {answer.status}" if answer.status >= http.client.INTERNAL_SERVER_ERROR else ""
    except (OSError, http.client.HTTPException) as reason:
        return f"{path}: {type(reason).__name__}"
    finally:
        link.close()


def usage(slot: str) -> dict[str, Any]:
    command = ["/usr/bin/systemctl", "show", f"app@{slot}.service", f"--property={','.join(USAGE)}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
    told = dict(line.partition("=")[::2] for line in lines)
    found: dict[str, Any] = {
        key: int(told[name]) if told.get(name, "").isdigit() else None for name, key in USAGE.items()
    }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    asking = verbs.add_parser("ask")
    for name, kind in (
        ("requests", int),
        ("warm_up", int),
        ("concurrency", int),
        ("timeout_s", float),
        ("slow_s", float),
    ):
        asking.add_argument(name, type=kind)
    asking.add_argument("slots")
    asking.add_argument("paths", nargs="+")
    verbs.add_parser("usage").add_argument("slot", choices=slots.SLOTS)
    given = parser.parse_args()
    try:
        if given.verb == "usage":
            print(json.dumps(usage(given.slot)))
            return 0
        ports = slots.settings()["ports"]
        asked = {slot: ports[slot] for slot in given.slots.split(",")}
        how = (given.paths, given.concurrency, given.timeout_s, given.slow_s)
        print(json.dumps(measured(asked, given.warm_up, given.requests, how)))
    except (Fault, OSError, KeyError, subprocess.SubprocessError) as reason:
        print(f"slot-probe: {reason}", file=sys.stderr)
        return 1
    return 0

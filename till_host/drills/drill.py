"""What every drill on this host shares: one at a time, its clock and phases, its result and what metrics say of it."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till_host import files, textfile_metrics

FOLDER = Path("/var/lib/till/drills")
LOCK = Path("/run/till-drill.lock")


class Drill:
    """One drill: its clock, its phases and its result. `kind` begins the result's name; metrics know it as `drill`."""

    def __init__(self, kind: str, drill: str, **facts: Any) -> None:
        self.kind, self.began = kind, time.time()
        self.name = f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        self.status = status(kind)
        self.result: dict[str, Any] = {
            "drill": drill, "name": self.name, **facts, "at": self.began, "ok": False, "phases": [],
        }  # fmt: skip

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note a phase's start and length, also when it fails; the status file tells who looks."""
        start_s = round(time.time() - self.began, 2)
        files.publish(self.status, json.dumps({"name": self.name, "phase": name, "since_s": start_s}))
        print(f"{start_s:7.1f} s  {name}", flush=True)
        try:
            yield
        finally:
            ended_s = round(time.time() - self.began, 2)
            self.result["phases"].append({"name": name, "start_s": start_s, "duration_s": round(ended_s - start_s, 2)})

    def keep(self, kept: int, told: tuple[str, ...]) -> None:
        """Keep the result beside `kept` - 1 others of its kind, and tell metrics of it and of these numbers."""
        result = self.result
        result["duration_s"] = round(time.time() - self.began, 2)
        FOLDER.mkdir(parents=True, exist_ok=True)
        files.replace(FOLDER / f"{self.name}.json", json.dumps(result, indent=1) + "\n")
        results = sorted(FOLDER.glob(f"{self.kind}-*.json"))
        for old in results[:-kept]:
            old.unlink()
        found = [json.loads(path.read_text()) for path in results[-kept:]]
        succeeded = [one for one in found if one["ok"] and one["drill"] == result["drill"]]
        label = {"drill": result["drill"]}
        metrics: list[textfile_metrics.Metric] = [
            ("till_drill_last_run_timestamp_seconds", label, self.began),
            ("till_drill_last_ok", label, result["ok"]),
        ]
        metrics += [("till_drill_last_success_timestamp_seconds", label, one["at"]) for one in succeeded[-1:]]
        metrics += [
            (f"till_drill_{key.removesuffix('_s')}_seconds", label, result[key])
            for key in told
            if result.get(key) is not None
        ]
        textfile_metrics.write(f"till-drill-{result['drill']}.prom", metrics)


def status(kind: str) -> Path:
    """Where a drill of this kind tells its phase while it lasts."""
    return Path(f"/run/till-drill-{kind}.json")


@contextmanager
def alone() -> Iterator[bool]:
    """Whether no other drill is under way on this host; none can begin while the block runs."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True

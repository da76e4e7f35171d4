"""Runs set-up steps side by side, each as soon as those it needs are done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.failure import StepFailed


@dataclass(frozen=True)
class Step:
    """`work` writes its details into the log it is given and returns a word on the outcome."""

    name: str
    promise: str
    work: Callable[[IO[str]], str]
    after: tuple[str, ...] = ()


def run_steps(steps: Sequence[Step], logs: Path) -> bool:
    """Run all steps, print one line for each; False when one failed (others in flight are finished)."""
    logs.mkdir(parents=True, exist_ok=True)
    started: dict[Future[str], tuple[Step, float]] = {}
    waiting, done = list(steps), set[str]()
    present = {step.name for step in steps}
    ok = True
    with ThreadPoolExecutor(max_workers=max(1, len(steps))) as pool:
        while waiting or started:
            for step in [step for step in waiting if set(step.after) & present <= done] if ok else []:
                waiting.remove(step)
                started[pool.submit(_work, step, logs)] = (step, time.monotonic())
            if not started:
                break
            finished, _ = wait(started, timeout=30, return_when=FIRST_COMPLETED)
            if not finished and started:
                _say("…", " ".join(step.name for step, _ in started.values()), "still at work", 0)
            for future in finished:
                step, begun = started.pop(future)
                duration_s = time.monotonic() - begun
                try:
                    _say("✓", step.name, f"{step.promise}: {future.result()}", duration_s)
                    done.add(step.name)
                except StepFailed as error:
                    ok = False
                    _explain(step, error, logs, duration_s)
    return ok


def _work(step: Step, logs: Path) -> str:
    with _log_path(step, logs).open("w") as log:
        try:
            return step.work(log)
        except OSError as error:
            raise StepFailed(str(error), "df -h; then tools/setup") from error


def _log_path(step: Step, logs: Path) -> Path:
    return logs / f"{step.name}.log"


def _explain(step: Step, error: StepFailed, logs: Path, duration_s: float) -> None:
    _say("✗", step.name, error.what, duration_s)
    log = _log_path(step, logs)
    for line in log.read_text(errors="replace").splitlines()[-15:]:
        print(f"      {line}", file=sys.stderr)
    print(f"      log: {log}", file=sys.stderr)
    if error.next_command:
        print(f"      next: {error.next_command}", file=sys.stderr, flush=True)


def _say(mark: str, name: str, text: str, duration_s: float) -> None:
    clock = f"{duration_s:7.1f} s" if duration_s else " " * 9
    print(f"  {mark} {clock}  {name:<16} {text}", file=sys.stderr, flush=True)

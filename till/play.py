"""Run one playbook through ansible-runner, with its traps closed (see docs/adr/0008)."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from till.errors import HostUnreachable, TillError, UsageError
from till.paths import PLAYBOOKS, log_dir
from till.progress import Progress
from till.redact import Redactor
from till.redact import of as redactor_of
from till.workplace import Workplace, environment

# ansible-runner looks for a cancel only this often (its default is 5 s).
POLL_S = 0.2
MESSAGE_LIMIT = 3000


@dataclass(frozen=True)
class Failure:
    host: str
    task: str
    message: str


@dataclass
class PlayResult:
    """What a run did: tasks per host by outcome, failures with their (redacted) messages, seconds."""

    playbook: str
    changed: dict[str, int] = field(default_factory=dict)
    ok: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unreachable: list[Failure] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def succeeded(self) -> bool:
        return not self.failures and not self.unreachable

    def raise_for_failure(self, next_command: str) -> None:
        """HostUnreachable or TillError naming hosts, tasks and reasons."""
        if self.unreachable:
            raise HostUnreachable("; ".join(_unreachable_sentence(one) for one in self.unreachable), next_command)
        if self.failures:
            lines = [f"{one.host}: {one.task}: {one.message}" for one in self.failures]
            raise TillError(f"{self.playbook} failed\n  " + "\n  ".join(lines), next_command)


def _unreachable_sentence(failure: Failure) -> str:
    text = failure.message
    if "IDENTIFICATION HAS CHANGED" in text or "Host key verification failed" in text:
        return (
            f"host {failure.host} shows another SSH host key than the pinned one: it was reinstalled, or someone answers in its place."
            " Compare its key at your provider's console before you change hostKey in the stack file"
        )
    return f"host {failure.host} can't be reached by SSH: {text.strip()[-600:]}"


class _Listener:
    """Turns ansible-runner's events into progress, a redacted log and a result. Called in its thread: keep it fast."""

    def __init__(self, result: PlayResult, redactor: Redactor, progress: Progress, log: Path, show_diff: bool) -> None:
        self.result, self.redactor, self.progress, self.show_diff = result, redactor, progress, show_diff
        self.log = log.open("w")
        self.processed = 0

    def __call__(self, event: dict[str, Any]) -> bool:
        kind, data = event["event"], event.get("event_data", {})
        stdout = self.redactor.scrub(event.get("stdout") or "")
        if stdout:
            self.log.write(stdout + "\n")
        if kind == "playbook_on_play_start":
            self.progress.play(str(data.get("name", "")))
        elif kind in ("playbook_on_task_start", "playbook_on_handler_task_start"):
            self.progress.task(str(data.get("task", "")))
        elif kind == "runner_on_ok":
            self.progress.host(data["host"], "changed" if data.get("res", {}).get("changed") else "ok")
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            self._note(self.result.failures, data, "failed")
        elif kind == "runner_on_unreachable":
            self._note(self.result.unreachable, data, "unreachable")
        elif kind == "playbook_on_stats":
            self.result.changed = dict(data.get("changed", {}))
            self.result.ok = dict(data.get("ok", {}))
            self.processed = len(data.get("processed", {}))
        if self.show_diff and "runner" in kind and "\n@@" in stdout:
            self.progress.say(stdout)
        return True

    def _note(self, where: list[Failure], data: dict[str, Any], outcome: str) -> None:
        message = self.redactor.scrub(_message(data.get("res", {})))
        where.append(Failure(data["host"], str(data.get("task", "")), message[-MESSAGE_LIMIT:]))
        self.progress.host(data["host"], outcome)


def _message(res: dict[str, Any]) -> str:
    parts = [str(res.get("msg", ""))]
    items = [item for item in res.get("results", []) if isinstance(item, dict) and item.get("failed")]
    parts += [str(item.get("msg", "")) for item in items]
    parts += [str(res[key]) for key in ("stderr", "module_stderr") if res.get(key)]
    return " | ".join(dict.fromkeys(part.strip() for part in parts if part.strip())) or json.dumps(res, default=str)


@contextmanager
def _only(allowed: dict[str, str]) -> Iterator[None]:
    """ansible-runner copies the whole environment into a file, so it sees the allowed part only."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(allowed)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextmanager
def _cancelled_by_signal() -> Iterator[list[int]]:
    """SIGINT and SIGTERM end the play, not the clean-up after it."""
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda n, _frame: received.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    workplace: Workplace,
    playbook: str,
    progress: Progress,
    variables: dict[str, Any] | None = None,
    check: bool = False,
    diff: bool = False,
    tags: str = "",
) -> PlayResult:
    """Run `playbooks/<playbook>`; returns what happened, and raises only when it could not run at all.

    `variables` are not secret: what is secret comes by the inventory file. Raises UsageError when no host matched.
    """
    import ansible_runner

    began = time.monotonic()
    redactor = redactor_of(workplace.contract)
    result = PlayResult(playbook)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    log = log_dir() / f"{workplace.contract.stack}-{playbook.removesuffix('.yml')}-{stamp}.log"
    listener = _Listener(result, redactor, progress, log, diff)
    private = workplace.folder / f"run-{time.monotonic_ns()}"
    private.mkdir(mode=0o700)
    arguments = " ".join(
        [*(["--check"] if check else []), *(["--diff"] if diff else []), *([f"--tags {tags}"] if tags else [])]
    )
    variables_file = private / "variables.json"
    variables_file.write_text(json.dumps(variables or {}))
    bin_folder = str(Path(sys.executable).parent)
    allowed = environment()
    allowed["PATH"] = f"{bin_folder}:{allowed.get('PATH', '')}"
    with _cancelled_by_signal() as received:
        with _only({**allowed, "ANSIBLE_CONFIG": str(workplace.config), "PYTHONDONTWRITEBYTECODE": "1"}):
            runner = ansible_runner.interface.init_runner(
                private_data_dir=str(private),
                project_dir=str(PLAYBOOKS),
                playbook=str(PLAYBOOKS / playbook),
                inventory=str(workplace.inventory),
                cmdline=f"{arguments} -e @{variables_file}",
                envvars={},
                settings={"pexpect_timeout": POLL_S, "suppress_ansible_output": True, "idle_timeout": 900},
                suppress_env_files=True,
                quiet=True,
                event_handler=listener,
                cancel_callback=lambda: bool(received),
            )
            runner.run()
    listener.log.close()
    result.duration_s = round(time.monotonic() - began, 1)
    if received:
        raise TillError(
            f"{playbook} was cancelled; what is done stays done", "run the same command again: it converges"
        )
    if listener.processed == 0 and not result.failures:
        tail = redactor.scrub(log.read_text())[-1500:]
        raise UsageError(
            f"{playbook} matched no host or could not start: {tail.strip() or runner.status}", f"less {log}"
        )
    if runner.rc != 0 and result.succeeded:
        raise TillError(
            f"{playbook} ended with exit code {runner.rc}: {log.read_text()[-1500:].strip()}", f"less {log}"
        )
    return result

"""Run one playbook through ansible-runner, with its traps closed (see docs/adr/0008)."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from till.errors import Interrupted, TillError, UsageError
from till.hosts import inventory, processes
from till.hosts.play_result import Failure, PlayResult, message
from till.hosts.session import Session
from till.paths import PLAYBOOKS, log_dir
from till.progress import Progress
from till.redact import Redactor
from till.redact import of as redactor_of

# ansible-runner looks for a cancel only this often (its default is 5 s).
POLL_S = 0.2
# The longest that no task may say anything.
IDLE_TIMEOUT_S = 900
MESSAGE_LIMIT = 3000


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
            self.result.finish(data)
            self.processed = len(data.get("processed", {}))
        if self.show_diff and stdout and kind == "runner_on_file_diff":
            self.progress.say(stdout)
        return True

    def _note(self, where: list[Failure], data: dict[str, Any], outcome: str) -> None:
        text = self.redactor.scrub(message(data.get("res", {})))
        where.append(Failure(data["host"], str(data.get("task", "")), text[-MESSAGE_LIMIT:]))
        self.progress.host(data["host"], outcome)


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


def refuse_empty_groups(session: Session, playbook: Path) -> None:
    """UsageError when a play is for a group without hosts: Ansible would skip it and end well."""
    from ruamel.yaml import YAML

    plays = YAML(typ="safe").load(playbook.read_text())
    for name, group in inventory.empty_groups(plays, session.inventory_document):
        raise UsageError(
            f"stack {session.contract.stack} has no host with the role {group}, which {playbook.name} needs ({name})",
            f"give a host the role {group} in Pulumi.{session.contract.stack}.yaml,"
            f" then .venv/bin/pulumi up -s {session.contract.stack}",
        )


def run(
    session: Session,
    playbook: str,
    progress: Progress,
    variables: dict[str, Any] | None = None,
    check: bool = False,
    diff: bool = False,
    tags: str = "",
    folder: Path = PLAYBOOKS,
) -> PlayResult:
    """Run a playbook of `folder`; returns what happened, and raises only when it could not run at all.

    `variables` are not secret: what is secret comes by the inventory file. Raises UsageError when no host matched.
    """
    import ansible_runner

    refuse_empty_groups(session, folder / playbook)
    began = time.monotonic()
    redactor = redactor_of(session.contract)
    result = PlayResult(playbook)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    log = log_dir() / f"{session.contract.stack}-{playbook.removesuffix('.yml')}-{stamp}.log"
    listener = _Listener(result, redactor, progress, log, diff)
    private = session.folder / f"run-{time.monotonic_ns()}"
    private.mkdir(mode=0o700)
    options = [*(["--check"] if check else []), *(["--diff"] if diff else []), *(["--tags", tags] if tags else [])]
    variables_file = private / "variables.json"
    variables_file.write_text(json.dumps(variables or {}))
    with _cancelled_by_signal() as received, _only(_environment(session)):
        runner = ansible_runner.interface.init_runner(
            private_data_dir=str(private),
            project_dir=str(folder),
            playbook=str(folder / playbook),
            inventory=str(session.inventory),
            cmdline=shlex.join([*options, "-e", f"@{variables_file}"]),
            envvars={},
            settings={"pexpect_timeout": POLL_S, "suppress_ansible_output": True, "idle_timeout": IDLE_TIMEOUT_S},
            suppress_env_files=True,
            quiet=True,
            event_handler=listener,
            cancel_callback=lambda: bool(received),
        )
        runner.run()
    listener.log.close()
    result.duration_s = round(time.monotonic() - began, 1)
    if received:
        # A worker that goes on would work against what is done next.
        processes.end(session.folder)
        raise Interrupted(
            f"{playbook} was interrupted",
            "run the same command again: it converges",
            result.facts(),
        )
    tail = redactor.scrub(log.read_text())[-1500:].strip()
    if listener.processed == 0 and not result.failures:
        raise UsageError(f"{playbook} matched no host or could not start: {tail or runner.status}", f"less {log}")
    if runner.rc != 0 and result.succeeded:
        raise TillError(f"{playbook} ended with exit code {runner.rc} ({runner.status}): {tail}", f"less {log}")
    return result


def _environment(session: Session) -> dict[str, str]:
    allowed = session.environment()
    return {
        **allowed,
        "PATH": f"{Path(sys.executable).parent}:{allowed.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(session.config),
        # ansible-runner would switch it off.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_NOCOLOR": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

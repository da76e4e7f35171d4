"""The journal's head, kept off the controller: what a journal that was cut short or rewritten is found by.

Each change adds one line to a file on the host with the repository of backups: how many entries the journal has and the
hash of its last one, which stands for all before it.
"""

from __future__ import annotations

import json
import shlex
import socket
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from infra.contract import Role
from till.changes import journal
from till.errors import TillError
from till.hosts import programs
from till.hosts.session import Session
from till.paths import CHECKOUT, journal_file
from till.policy import thresholds

HEADS = "/var/lib/till/journal-heads.jsonl"
State = Literal["same", "ahead", "shortened", "forked", "unknown"]


@dataclass(frozen=True)
class Comparison:
    """How a journal stands to the heads that are kept of it. `entry` is the first that is missing or another one."""

    state: State
    sentence: str
    entry: int | None = None

    @property
    def holds(self) -> bool:
        """False where entries are known to be gone or changed; nothing known is no such thing."""
        return self.state not in ("shortened", "forked")


def controller() -> str:
    """Which journal of a stack this is: each checkout on each machine has one of its own."""
    return f"{socket.gethostname()}:{CHECKOUT}"


def head(stack: str, entries: list[dict[str, Any]], of: str) -> dict[str, Any]:
    """A journal's head: stack, controller, how many entries, the last one's hash and time."""
    last = entries[-1] if entries else {"hash": journal.GENESIS, "at": ""}
    return {"stack": stack, "controller": of, "count": len(entries), "hash": last["hash"], "at": last["at"]}


def compare(entries: list[dict[str, Any]], kept: list[dict[str, Any]]) -> Comparison:
    """Entries whose chain was verified against every head that was ever kept of this journal (in any order). Pure."""
    heads = sorted((one for one in kept if one["count"]), key=lambda one: int(one["count"]))
    if not heads:
        return Comparison("unknown", "no head of this journal is kept on the stack yet")
    agreed = 0
    for one in heads:
        count = int(one["count"])
        if count > len(entries):
            first = len(entries) + 1
            return Comparison(
                "shortened",
                f"entry {first} and those after it are gone: the stack knew {count} at {one['at']}, here are"
                f" {len(entries)}",
                first,
            )
        if entries[count - 1]["hash"] != one["hash"]:
            return Comparison(
                "forked",
                f"entries {agreed + 1} to {count} are not those of {one['at']}: one of them was rewritten",
                agreed + 1,
            )
        agreed = count
    if agreed < len(entries):
        return Comparison(
            "ahead", f"the head of entry {agreed} is kept and holds; {len(entries) - agreed} came after it"
        )
    return Comparison("same", f"all {agreed} entries are those whose head is kept")


def push(session: Session) -> str:
    """Keep the head of a stack's journal on the stack; "", or why it could not be kept. Never raises TillError."""
    stack = session.contract.stack
    try:
        line = json.dumps(head(stack, journal.read(journal_file(stack)), controller()), sort_keys=True)
        # With a line break before it, too: a line that a full disk cut off spoils no other.
        write = f"umask 077; printf '\\n%s\\n' {shlex.quote(line)} >> {HEADS}"
        _ask(session, f"mkdir -p {PurePosixPath(HEADS).parent} && {write}")
    except TillError as reason:
        return f"the journal's head is not kept on the stack: {reason.message}"
    return ""


def read(session: Session) -> tuple[list[dict[str, Any]], list[str]]:
    """The heads of this controller's journal, and a sentence for every other journal of the stack. Raises TillError."""
    stack, ours = session.contract.stack, controller()
    found = parsed(_ask(session, f"cat {HEADS} 2>/dev/null || true"), stack)
    newest = {one["controller"]: one for one in found if one["controller"] != ours}
    others = [f"{name} has {one['count']} entries of its own, the last of {one['at']}" for name, one in newest.items()]
    return [one for one in found if one["controller"] == ours], others


def parsed(text: str, stack: str) -> list[dict[str, Any]]:
    """Lines of the file that are a stack's heads; a line that a full disk cut off is none. Pure."""
    found = []
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and one.get("stack") == stack:
            found.append(one)
    return found


def _ask(session: Session, script: str) -> str:
    host = programs.host_with(session.contract, Role.BACKUP_REPOSITORY).name
    done = session.ssh(host, shlex.join(["sh", "-c", script]), timeout_s=thresholds()["journal"]["head_deadline_s"])
    again = f"till status {session.contract.stack}"
    programs.require_reached(host, done.returncode, done.stderr, again)
    if done.returncode:
        raise TillError(f"host {host} says: {done.stderr.strip()[-300:]}", again)
    return done.stdout

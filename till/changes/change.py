"""A change to a stack: one at a time, and one entry in the journal however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from till import redact
from till.changes import journal, journal_head, local_lock
from till.errors import TillError
from till.hosts.session import Session
from till.paths import journal_file, lock_file
from till.progress import Progress

# Of what was measured until a failure, what a journal entry keeps.
KEPT_FACTS = (
    "changed", "failed", "unreachable", "old_version", "new_version", "verdict", "switch_s", "promoted_s",
    "synchronous_s", "write_pause_s", "dns_switch_s",
)  # fmt: skip


@contextmanager
def change(
    name: str,
    verb: str,
    progress: Progress,
    redactor: redact.Redactor | None = None,
    session: Session | None = None,
) -> Iterator[dict[str, Any]]:
    """Hold the stack's lock and write one journal entry, however the block ends. The block fills in the facts.

    With a session, the journal's head is kept on the stack, too; where that fails it is told, and the change stands.
    """
    began, facts = time.monotonic(), dict[str, Any]()
    with local_lock.hold_local_lock(lock_file(name), verb):
        try:
            yield facts
        except BaseException as reason:
            told = f"{type(reason).__name__}: {reason}"
            if isinstance(reason, TillError):
                facts |= {name: value for name, value in reason.facts.items() if name in KEPT_FACTS}
            facts["reason"] = redactor.scrub(told) if redactor else told.splitlines()[0]
            _note(name, verb, False, facts, began, session, progress)
            raise
        _note(name, verb, True, facts, began, session, progress)


def _note(
    name: str, verb: str, ok: bool, facts: dict[str, Any], began: float, session: Session | None, progress: Progress
) -> None:
    facts.setdefault("duration_s", round(time.monotonic() - began, 1))
    journal.append(journal_file(name), verb, ok, facts)
    if session is not None and (warning := journal_head.push(session)):
        progress.say(f"warning: {warning}")

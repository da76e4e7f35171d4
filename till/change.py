"""A change to a stack: one at a time, and one entry in the journal however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from till import journal, lock, redact
from till.errors import TillError
from till.paths import journal_file, lock_file
from till.progress import Progress

# Of what was measured until a failure, what a journal entry keeps.
KEPT_FACTS = (
    "changed", "failed", "unreachable", "old_version", "new_version", "verdict", "switch_s", "promoted_s",
    "synchronous_s", "write_pause_s", "dns_switch_s",
)  # fmt: skip


@contextmanager
def change(
    name: str, verb: str, progress: Progress, redactor: redact.Redactor | None = None
) -> Iterator[dict[str, Any]]:
    """Hold the stack's lock and write one journal entry, however the block ends. The block fills in the facts."""
    facts: dict[str, Any] = {}
    with lock.held(lock_file(name), verb):
        try:
            yield facts
        except BaseException as reason:
            told = f"{type(reason).__name__}: {reason}"
            if isinstance(reason, TillError):
                facts |= {name: value for name, value in reason.facts.items() if name in KEPT_FACTS}
            facts["reason"] = redactor.scrub(told) if redactor else told.splitlines()[0]
            journal.append(journal_file(name), verb, False, facts)
            raise
        journal.append(journal_file(name), verb, True, facts)

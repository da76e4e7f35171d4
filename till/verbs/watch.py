"""Contents page of the verb watch: look on, or end the watch."""

from __future__ import annotations

import time
from typing import Any, Protocol

from till import redact
from till.changes import journal
from till.changes.change import change
from till.hosts.session import open_session
from till.progress import Progress
from till.rollout import release_watch
from till.stacks import stack

LOOK_S = 1.0


class Screen(Protocol):
    """Where the state of a watch is shown as long as somebody looks at it."""

    def __enter__(self) -> Screen: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, found: dict[str, Any]) -> None: ...


def state(name: str, progress: Progress, screen: Screen | None) -> dict[str, Any]:
    """The watch as it is; with a screen it is shown there until it ends or somebody has seen enough (Ctrl-C)."""
    with open_session(stack.contract(name)) as session:
        release_watch.collect(session, progress)
        found = release_watch.read_watch(session)
        if screen is not None:
            try:
                with screen:
                    while _goes_on(found):
                        screen.show(found)
                        time.sleep(LOOK_S)
                        found = release_watch.read_watch(session)
            except KeyboardInterrupt:
                return found
        if not _goes_on(found):
            # It may have acted while it was looked on.
            release_watch.collect(session, progress)
        return found


def end_watch(name: str, progress: Progress) -> dict[str, Any]:
    """End the watch by hand; the release that serves stays."""
    contract = stack.contract(name)
    with (
        open_session(contract) as session,
        change(name, "watch end", progress, redact.of(contract), session) as facts,
    ):
        was = release_watch.end(session, "ended by hand", journal.account())
        found = release_watch.read_watch(session)
        facts |= {"ended": was, "version": found["watch"]["version"] if found["watch"] else ""}
        return {**found, "was_ended": was}


def _goes_on(found: dict[str, Any]) -> bool:
    return found["watch"] is not None and not found["watch"]["ended"]

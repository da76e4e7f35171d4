"""What the watch keeps on its host's disk: the one that goes on or was the last, and what became of releases.

/var/lib/till/release-watch.json: `version`, `old_version`, `hosts` ({name: {new_slot, old_slot}}), `record` (of the
deploy), `by`, `deploy_at`, `since`, `until` (s since the epoch), `version_path`, `unasked` (routes), `contracted` (the
old release can't run on the database any more), `before` (measures of the old release before the deploy), `memory`
(what was seen until `kept_at`, as decide.to_json has it), `tries`, `tried_at`, `moving` (the way back was begun),
`reasons`, `waits` (for what), `ended` ({at, why, by}|null).
Beside it, a file for each try of a way back, and in /run the last look.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from till_host import files

STATE = Path("/var/lib/till/release-watch.json")
RESULTS = Path("/var/lib/till/release-watch")
LOOK = Path("/run/till-release-watch/look.json")
Watch = dict[str, Any]


class Other(Exception):
    """Another watch has begun, or this one was ended meanwhile."""


@contextlib.contextmanager
def locked() -> Iterator[None]:
    with STATE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def load() -> Watch | None:
    return dict(json.loads(STATE.read_text())) if STATE.exists() else None


def begin(watch: Watch) -> None:
    with locked():
        replace(STATE, watch)
        LOOK.unlink(missing_ok=True)


def current(watch: Watch) -> bool:
    """Whether a watch is still the one that goes on."""
    found = load()
    return found is not None and found["since"] == watch["since"] and not found["ended"]


def change(watch: Watch, **changed: Any) -> Watch:
    """The watch with something changed, on the disk; raises Other when it goes on no more."""
    with locked():
        if not current(watch):
            raise Other
        whole = {**watch, **changed}
        replace(STATE, whole)
    return whole


def end(why: str, by: str, at: float) -> bool:
    """End whatever goes on; whether anything did."""
    with locked():
        found = load()
        if found is None or found["ended"]:
            return False
        replace(STATE, {**found, "ended": {"at": round(at, 3), "why": why, "by": by}})
    return True


def looked(look: dict[str, Any]) -> None:
    """The last look: every second, so in memory."""
    if LOOK.parent.is_dir():
        files.publish(LOOK, json.dumps(look) + "\n")


def last_look() -> dict[str, Any] | None:
    try:
        return dict(json.loads(LOOK.read_text()))
    except (OSError, ValueError):
        return None


def keep(result: dict[str, Any], kept: int) -> Path:
    """A try of a way back, kept until tills have fetched it; of many, the newest."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{int(result['at'] * 1000):014d}.json"
    replace(path, result)
    for old in sorted(RESULTS.glob("*.json"))[:-kept]:
        old.unlink(missing_ok=True)
    return path


def results() -> list[dict[str, Any]]:
    """Every try that is kept, oldest first."""
    return [dict(json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))]


def replace(path: Path, document: dict[str, Any]) -> None:
    files.replace(path, json.dumps(document, indent=1) + "\n")

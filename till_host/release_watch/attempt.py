"""Takes a watched release back: lock, look, switch, proof; each try leaves a result, and people are told."""

from __future__ import annotations

import sys
import time
from typing import Any

from till_host import ssh
from till_host.change_lock import client as lease
from till_host.faults import Fault, Waits
from till_host.notifications import spool
from till_host.release_watch import edges as road
from till_host.release_watch import messages as words
from till_host.release_watch import store
from till_host.release_watch import traffic_back as way
from till_host.release_watch.observe import Eyes

BY = "till-release-watch"
Watch = dict[str, Any]


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def tell(event: dict[str, Any], settings: dict[str, Any]) -> None:
    """To people; the watch goes on where that can't be kept."""
    say(event["title"])
    try:
        spool.put(event, settings["host"])
    except OSError as reason:
        say(f"people are not told: {reason}")


def take_back(watch: Watch, eyes: Eyes, reasons: tuple[str, ...], settings: dict[str, Any]) -> Watch:
    """One try; the watch as it is then. Raises Other when it was ended meanwhile."""
    stack, thresholds = settings["stack"], settings["thresholds"]
    policy, at = thresholds["watch"], time.time()
    pause_s = policy["wait_s" if watch["waits"] else "retry_s"]
    if watch["tries"] >= policy["tries_max"] or at - watch["tried_at"] < pause_s:
        return watch
    try:
        if watch["contracted"]:
            raise Waits(f"{watch['version']} has contracted the database, {watch['old_version']} can't run on it")
        with lease.held(f"rollback {watch['old_version']}", settings["host"], thresholds["lease"]) as held:
            way.look(watch, watch["moving"])
            # From here on it is finished, also after a reboot of this host.
            first = not watch["moving"]
            watch = store.change(watch, moving=True, reasons=list(reasons), waits="")
            if first:
                tell(words.begins(watch, stack, reasons), settings)
            took_s = way.back(watch, held)
            _drained(watch)
            warning = way.proven(watch, eyes.served, thresholds["version"]["deadline_s"])
    except Waits as what:
        # One that was begun has been told of; after a crash its own lock has to end first.
        if not watch["waits"] and not watch["moving"]:
            tell(words.waits(watch, stack, reasons, str(what)), settings)
        return store.change(watch, waits=str(what), tried_at=at)
    except way.Superseded as reason:
        return _ended(watch, f"another release serves: {reason}")
    except Fault as reason:
        return _failed(watch, str(reason), reasons, at, settings)
    store.keep(_result(watch, reasons, at, settings, took_s, warning), policy["results_kept"])
    tell(words.done(watch, stack, took_s, warning), settings)
    return _ended(watch, f"{watch['version']} was taken back, {watch['old_version']} serves: {'; '.join(reasons)}")


def _failed(watch: Watch, why: str, reasons: tuple[str, ...], at: float, settings: dict[str, Any]) -> Watch:
    policy, tries = settings["thresholds"]["watch"], watch["tries"] + 1
    again = tries < policy["tries_max"]
    store.keep(_result(watch, reasons, at, settings, None, why), policy["results_kept"])
    if tries == 1 or not again:
        tell(words.failed(watch, settings["stack"], why, again), settings)
    else:
        say(why)
    # What one edge could not do the others have undone: it is decided anew, unless edges differ.
    differ = "edges differ" in why
    return store.change(watch, tries=tries, tried_at=at, moving=watch["moving"] and differ)


def _drained(watch: Watch) -> None:
    if left := ssh.faults(ssh.at_once(watch["hosts"], road.drain)):
        say(f"requests of the release that was left may go on: {left}")


def _ended(watch: Watch, why: str) -> Watch:
    say(why)
    return store.change(watch, ended={"at": round(time.time(), 3), "why": why, "by": BY})


def _result(
    watch: Watch, reasons: tuple[str, ...], at: float, settings: dict[str, Any], took_s: float | None, warning: str
) -> dict[str, Any]:
    """What till makes a record of (till/rollout/release_watch.py)."""
    look = store.last_look() or {}
    return {
        "at": round(at, 3),
        "by": f"{BY}@{settings['host']}",
        "record": watch["record"],
        "old_version": watch["version"],
        "new_version": watch["old_version"],
        "verdict": "fail" if took_s is None or warning else "pass",
        "reason": "; ".join(reasons),
        "warning": warning,
        "rollback_s": took_s,
        "duration_s": round(time.time() - at, 3),
        "measures": look.get("measures", {}),
    }

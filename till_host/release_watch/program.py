"""Watch a release for the first hour after its deploy, and take it back when it has to go (docs/adr/0021).

    release-watch begin        from JSON on stdin: version, old_version, hosts, record, by, deploy_at, watch_s,
                               version_path, unasked, contracted; prints {"since", "until"}
    release-watch show         the watch that goes on, or was the last, with its last look; {"watch": null}: none was
    release-watch end WHY BY   end it; prints {"ended": whether one went on}
    release-watch results      every try of a way back that is kept, oldest first
    release-watch run          look each second until it ends (the unit till-release-watch)

Settings: /etc/till/release-watch.json. Exit codes: 0 done, 1 not possible, 2 bad usage.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from till_host.release_watch import attempt as taking
from till_host.release_watch import messages as words
from till_host.release_watch import policy as policies
from till_host.release_watch import store
from till_host.release_watch.decide import END, ROLLBACK, TELL, Decision, Memory, decide, from_json, ripens, to_json
from till_host.release_watch.observe import Eyes
from till_host.release_watch.policy import Policy, Seen
from till_host.release_watch.store import Other
from till_host.release_watch.verdicts import INSUFFICIENT

SETTINGS = Path("/etc/till/release-watch.json")
RESTART = ("/usr/bin/systemctl", "restart", "till-release-watch.service")
GIVEN = (
    "version",
    "old_version",
    "hosts",
    "record",
    "by",
    "deploy_at",
    "watch_s",
    "version_path",
    "unasked",
    "contracted",
)
# Tokens of slots change with a deploy only; an edge that was away when they were asked for is asked again.
REMEMBER_S = 30
# The disk is not written each second for an hour.
KEEP_S = 15
Watch = dict[str, Any]


def begin(given: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError where something is missing, OSError."""
    if missing := [name for name in GIVEN if name not in given]:
        raise ValueError(f"{', '.join(missing)} is not given")
    if strangers := set(given["hosts"]) - set(settings["addresses"]):
        raise ValueError(f"{', '.join(sorted(strangers))} is no edge that is known here: till provision")
    now = round(time.time(), 3)
    watch = {name: given[name] for name in GIVEN if name != "watch_s"}
    watch |= {"since": now, "until": round(now + given["watch_s"], 3), "memory": to_json(Memory()), "kept_at": 0.0}
    watch |= {"tries": 0, "tried_at": 0.0, "moving": False, "reasons": [], "waits": "", "ended": None, "before": {}}
    watch["before"] = Eyes(watch, settings).before()
    store.begin(watch)
    subprocess.run(RESTART, check=True, timeout=60)
    return {"since": watch["since"], "until": watch["until"]}


def show() -> dict[str, Any]:
    watch = store.load()
    if watch is None:
        return {"watch": None}
    known = ("version", "old_version", "record", "by", "since", "until", "ended", "waits", "reasons", "tries")
    return {"watch": {**{name: watch[name] for name in known}, "now": round(time.time(), 3)}, "look": store.last_look()}


def run(settings: dict[str, Any]) -> None:
    """Until the watch ends; a new one that begins meanwhile ends this process by its unit's restart."""
    interval_s = settings["thresholds"]["watch"]["interval_s"]
    watch = store.load()
    if watch is None or watch["ended"]:
        return
    # Nobody looked while this process was away, so nothing has held meanwhile.
    watch["memory"]["since"] = {}
    eyes, remembered_at, said = Eyes(watch, settings), 0.0, ""
    try:
        while not watch["ended"]:
            began = time.monotonic()
            if not remembered_at or began - remembered_at > REMEMBER_S:
                eyes.remember()
                remembered_at = began
            if not store.current(watch):
                raise Other
            watch, told = once(watch, eyes, settings, time.time())
            if told != said:
                taking.say(told)
                said = told
            time.sleep(max(0.0, began + interval_s - time.monotonic()))
    except Other:
        taking.say("the watch was ended, or another one has begun")


def once(watch: Watch, eyes: Eyes, settings: dict[str, Any], now: float) -> tuple[Watch, str]:
    """One look and what follows; the watch as it is then, and what the journal is to say. Raises Other."""
    if watch["moving"] and watch["tries"] < settings["thresholds"]["watch"]["tries_max"]:
        return taking.take_back(watch, eyes, tuple(watch["reasons"]), settings), "the way back is gone on with"
    policy = policies.policy(settings["thresholds"])
    memory = from_json(watch["memory"], policy)
    seen = eyes.look(now)
    decision = decide(seen, memory, policy, now)
    store.looked(shown(decision, memory, seen, now))
    watch = remembered(watch, memory, now)
    sentence = "; ".join(decision.reasons)
    if decision.action == END:
        return store.change(watch, ended={"at": round(now, 3), "why": sentence, "by": taking.BY}), sentence
    if decision.action == TELL:
        taking.tell(words.consider(watch, settings["stack"], decision.reasons), settings)
    elif decision.action == ROLLBACK:
        watch = taking.take_back(watch, eyes, decision.reasons, settings)
    elif watch["waits"]:
        watch = store.change(watch, waits="")
    # Not unseen, as where this host was away until now, and not while it shows whether something bad lasts.
    if now >= watch["until"] and not (watch["ended"] or watch["moving"] or ripens(memory, seen.before, policy, now)):
        return passed(watch, decision, policy, settings, now)
    return watch, told(decision)


def remembered(watch: Watch, memory: Memory, now: float) -> Watch:
    """The watch with what is known now: on the disk at once where a trigger began or ended, else now and then.

    What is lost with this host is what came since: counters are cumulative, so it is counted late or, after a pause,
    left out.
    """
    kept, before = to_json(memory), watch["memory"]
    if any(kept[name] != before[name] for name in ("since", "told")) or now - watch.get("kept_at", 0.0) >= KEEP_S:
        return store.change(watch, memory=kept, kept_at=now)
    return {**watch, "memory": kept}


def passed(watch: Watch, decision: Decision, policy: Policy, settings: dict[str, Any], now: float) -> tuple[Watch, str]:
    """Its time is over, and nothing took it back; what nobody could judge is told."""
    unjudged = {name: said for name, (verdict, said) in decision.said.items() if verdict == INSUFFICIENT}
    unjudged = {name: said for name, said in unjudged.items() if name in policy.rules}
    taking.tell(words.passed(watch, settings["stack"], unjudged), settings)
    why = f"{watch['version']} was watched to the end and stays"
    return store.change(watch, ended={"at": round(now, 3), "why": why, "by": taking.BY}), why


def shown(decision: Decision, memory: Memory, seen: Seen, now: float) -> dict[str, Any]:
    """A look for `show`."""
    return {
        "at": round(now, 3),
        "action": decision.action,
        "reasons": list(decision.reasons),
        "measures": {name: {"verdict": verdict, "sentence": said} for name, (verdict, said) in decision.said.items()},
        "counts": {
            name: [one.allowed.canary.requests, one.allowed.canary.bad]
            for name, one in memory.evidence.measures.items()
        },
        "health": seen.health,
        "moved": seen.moved,
    }


def told(decision: Decision) -> str:
    """What the journal says when it is not what it said before: no counts, which change with each look."""
    what = ", ".join(f"{name} {verdict}" for name, (verdict, _) in sorted(decision.said.items()))
    return f"{decision.action or 'watching'}: {'; '.join(decision.reasons)}" if decision.reasons else what


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        settings = json.loads(SETTINGS.read_text())
        if arguments == ["run"]:
            run(settings)
        elif arguments == ["begin"]:
            print(json.dumps(begin(json.load(sys.stdin), settings)))
        elif arguments == ["show"]:
            print(json.dumps(show()))
        elif arguments == ["results"]:
            print(json.dumps(store.results()))
        elif arguments[:1] == ["end"] and len(arguments) == 3:
            print(json.dumps({"ended": store.end(arguments[1], arguments[2], time.time())}))
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except (OSError, ValueError, subprocess.SubprocessError) as reason:
        print(f"release-watch: {reason}", file=sys.stderr)
        return 1
    return 0

"""Deliver what this host keeps for people to the channels, oldest first, until each has taken it.

    notify send      until nothing is left (the unit till-notify, which systemd starts as soon as something is kept)
    notify check     fails when a channel's address is not understood, and says which
    notify events    everything that is kept, told or not, as JSON
    notify put       keep an event given as JSON on standard input

Settings: /etc/till/notify.json. Channels: a credential, or /etc/till/credentials/notify.json for root.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from till_host import files
from till_host.etcd import Etcd
from till_host.notifications import claim, incidents, queue, spool

PACKAGES = "/opt/apprise/current"
SETTINGS = Path("/etc/till/notify.json")
PAUSES = spool.FOLDER / "pauses.json"
WRITES = 5
LOOK_S = 0.5
ALONE = "This host has no quorum: it may be the one that is cut off, and others may tell the same."
Event = dict[str, Any]


def read_channels() -> list[Any]:
    from till_host.notifications import channels

    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return channels.read(Path(folder) / "channels" if folder else Path("/etc/till/credentials/notify.json"))


class Post:
    """One delivery: what this host has claimed, what each channel has taken."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings, self.host = settings, settings["host"]
        self.etcd = Etcd(settings["etcd"], settings["etcd_timeout_s"])
        self.patience = queue.Patience(**settings["patience"])
        self.pauses: dict[str, dict[str, float]] = json.loads(PAUSES.read_text()) if PAUSES.exists() else {}

    @cached_property
    def channels(self) -> list[Any]:
        """Read by who delivers alone: apprise with its services is most of what a start costs."""
        return read_channels()

    def run(self) -> None:
        """Until nothing is left: what waits for a channel or for another host is looked at again and again."""
        folder = spool.spool()
        while True:
            while self.once():
                pass
            spool.sweep()
            if not any(folder.iterdir()):
                break
            seen, until = folder.stat().st_mtime_ns, time.monotonic() + self.patience.retry_s
            while folder.stat().st_mtime_ns == seen and time.monotonic() < until:
                time.sleep(LOOK_S)
        for path in incidents.write(self.settings["stack"]):
            print(f"document {path}", flush=True)
        spool.forget(self.settings["kept"])

    def once(self) -> bool:
        """Go through what is kept; whether something left the spool."""
        left, behind, held = False, False, set[str]()
        for event in spool.events(spool.spool()):
            if event.get("outcome"):
                left = self.registered(event) or left
                continue
            word, registered = (claim.WAIT, False) if behind and event["subject"] else self.turn(event)
            if word == claim.WAIT:
                # What is told of the fleet stays in its order.
                behind = behind or bool(event["subject"])
                continue
            if word == claim.DROP:
                outcome = "told by another host"
            elif not event["tell"]:
                outcome = "kept for the timeline"
            else:
                event, outcome = self.deliver(event, held, registered)
            if outcome:
                print(f"{event['id']}: {outcome}", flush=True)
                event = {**event, "outcome": outcome}
                if word == claim.DROP:
                    spool.done(event)
                    left = True
                else:
                    spool.keep(event, spool.spool())
                    left = self.registered(event) or left
        return left

    def turn(self, event: Event) -> tuple[str, bool]:
        """Whether this host is to tell it now, and whether etcd knows."""
        if not event["subject"]:
            return claim.SEND, True
        now, takeover_s = time.time(), self.settings["takeover_s"]
        key = self.settings["key"] + event["subject"]
        try:
            record, revision = self.etcd.get(key)
            word, same = claim.verdict(record or [], event, now, takeover_s)
            own = same is not None and same["event"] == event["id"]
            fresh = own and same is not None and now - same["claimed_at"] < takeover_s / 3
            if word != claim.SEND or fresh:
                return word, True
            mine = claim.claimed(record or [], event, self.host, now, not event["tell"])
            # Whoever was quicker is seen at the next turn.
            return (claim.SEND if self.etcd.put(key, mine, revision) else claim.WAIT), True
        except OSError:
            # Who saw it alone has waited already.
            alone = event.get("alone") or now - event["at"] > self.settings["quorum_patience_s"]
            return (claim.SEND if alone else claim.WAIT), False

    def deliver(self, event: Event, held: set[str], registered: bool) -> tuple[Event, str]:
        """Try the channels that have not taken it; the event as it is then, and its outcome ("": it stays)."""
        known = {one.key: one for one in self.channels}
        if not known:
            return event, "there is no channel"
        shown = event if registered else {**event, "text": f"{event['text']}\n{ALONE}"}
        for key in queue.missing(event, list(known)):
            if key in held or self.pauses.get(key, {}).get("until", 0) > time.time():
                held.add(key)
            elif known[key].send(shown):
                event = queue.delivered(event, key, time.time())
                self.pause(key, 0)
            else:
                event = queue.failed(event, key)
                failures = self.pause(key, int(self.pauses.get(key, {}).get("failures", 0)) + 1)
                print(f"{event['id']}: {known[key].name} did not take it, failure {failures}", flush=True)
                if queue.holds_up(event, key, self.patience):
                    held.add(key)
        if not queue.missing(event, list(known)):
            return event, "told"
        if queue.given_up(event, time.time(), self.patience):
            return event, "given up"
        spool.keep(event, spool.spool())
        return event, ""

    def pause(self, key: str, failures: int) -> int:
        until = time.time() + queue.pause_s(failures, self.patience) if failures else 0
        if failures or key in self.pauses:
            self.pauses[key] = {"failures": failures, "until": until}
            files.replace(PAUSES, json.dumps(self.pauses) + "\n")
        return failures

    def registered(self, event: Event) -> bool:
        """Let the other hosts know; it stays in the spool until they can, and without etcd they may tell it again."""
        try:
            if event["subject"] and not self.written(event):
                return False
        except OSError as reason:
            print(f"{event['id']}: {reason}", flush=True)
            return False
        spool.done(event)
        return True

    def written(self, event: Event) -> bool:
        """Whether etcd's record holds the event as delivered; others write it, too."""
        key = self.settings["key"] + event["subject"]
        for _ in range(WRITES):
            record, revision = self.etcd.get(key)
            new = claim.claimed(record or [], event, self.host, time.time(), True)
            if self.etcd.put(key, new, revision):
                return True
        return False


def check() -> int:
    wrong = [one.name for one in read_channels() if not one.understood]
    if wrong:
        print(
            f"notify: apprise does not understand {', '.join(wrong)} of till:notify. "
            "Next: pulumi config set --secret till:notify",
            file=sys.stderr,
        )
    return 1 if wrong else 0


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.path.append(PACKAGES)
    if arguments == ["check"]:
        return check()
    settings = json.loads(SETTINGS.read_text())
    if arguments == ["send"]:
        Post(settings).run()
    elif arguments == ["events"]:
        kept = [*spool.events(spool.told()), *spool.events(spool.spool())]
        print(json.dumps(sorted(kept, key=lambda one: float(one["at"]))))
    elif arguments == ["put"]:
        spool.put(json.load(sys.stdin), settings["host"])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0

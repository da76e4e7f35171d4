"""Release the leader's key when its host is gone, instead of waiting for its lease to end.

    lease-release watch         hear the leader's host, for ever; say and do what leader_key_decision.decide says
    lease-release now LEADER    a person says that the host of LEADER is gone: release its key, where that is safe

`now` prints one JSON object: `released`, `reason`. Settings: /etc/till/fast-release.json.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import urllib3

from till_host.database import leader_key_decision
from till_host.database.leader_key_decision import Cluster, Silence
from till_host.etcd import PKI, Etcd

SETTINGS = Path("/etc/till/fast-release.json")


class Heard:
    """When the host of a leader last answered any of its probes, each asked by a thread of its own.

    One answer says that the host lives, so the first probe is asked all the time, and the others while it has not been
    answered for `doubt_s`: with a connection of their own for each question they cost the leader's host the most.
    """

    def __init__(self, settings: dict[str, Any], leader: str, address: str) -> None:
        self.leader, self.address, self.at = leader, address, time.monotonic()
        self._over = threading.Event()
        self._pool = urllib3.PoolManager(
            cert_reqs="CERT_REQUIRED", ca_certs=f"{PKI}/ca.pem", cert_file=f"{PKI}/host.pem",
            key_file=f"{PKI}/host.key", retries=False, maxsize=len(settings["probes"]),
        )  # fmt: skip
        for number, probe in enumerate(settings["probes"]):
            doubt_s = settings["doubt_s"] if number else 0.0
            threading.Thread(
                target=self._ask, args=(probe.format(address=address), settings, doubt_s), daemon=True
            ).start()

    def _ask(self, url: str, settings: dict[str, Any], doubt_s: float) -> None:
        """Any answer counts, whatever it says: the host lives."""
        pause_s = settings["tick_interval_s"] if doubt_s else settings["probe_interval_s"]
        while not self._over.wait(pause_s):
            if self.silent_s() < doubt_s:
                continue
            try:
                self._pool.request("GET", url, timeout=settings["probe_timeout_s"], redirect=False)
            except urllib3.exceptions.HTTPError:
                continue
            self.at = time.monotonic()

    def silent_s(self) -> float:
        return time.monotonic() - self.at

    def end(self) -> None:
        self._over.set()


class Watch:
    """One observer: hears the leader's host, tells the others when it is silent, releases when all agree."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings, self.me, self.after_s = settings, settings["name"], settings["after_s"]
        self.prefix, self.silences = f"/service/{settings['scope']}/", f"/till-silence/{settings['scope']}/"
        self.store = Etcd(settings["etcd"], settings["store_timeout_s"], rest_s=0)
        self.heard: Heard | None = None
        self.said_silent = False

    def seen(self) -> Cluster:
        """Who leads, as the store has it."""
        return leader_key_decision.cluster(self.store.keys(self.prefix))

    def look(self) -> Cluster:
        """The same; the watch turns to a new leader's host."""
        seen = self.seen()
        if self.heard and (seen.leader, seen.address) != (self.heard.leader, self.heard.address):
            self.heard.end()
            self.heard = None
        if self.heard is None and seen.leader not in ("", self.me) and seen.address:
            self.heard = Heard(self.settings, seen.leader, seen.address)
        return seen

    def others(self) -> list[Silence]:
        told = self.store.all(self.silences).values()
        return [Silence(one["observer"], one["leader"], one["term"], one["silent_s"]) for one in told]

    def say(self, seen: Cluster, silent_s: float) -> None:
        """Keep what this host finds where the others look; it goes by itself when nobody says it again."""
        found = {"observer": self.me, "leader": seen.leader, "term": seen.term, "silent_s": round(silent_s, 1)}
        self.store.put_for(self.silences + self.me, found, self.settings["silence_lifetime_s"])
        self.said_silent = True

    def unsay(self) -> None:
        if self.said_silent:
            self.store.delete(self.silences + self.me)
            self.said_silent = False

    def release(self, seen: Cluster) -> bool:
        """Whether the key went: not when anything changed since it was seen."""
        leader, sync = self.prefix + "leader", self.prefix + "sync"
        gone = self.store.delete_while(leader, seen.term, sync, seen.sync_revision)
        if gone:
            try:
                # Its old owner must not hold itself for the leader by a lease that it still renews.
                self.store.revoke(seen.lease)
            except OSError as reason:
                print(f"the lease of {seen.leader} was not revoked: {reason}", flush=True)
        return gone

    def tick(self) -> str:
        """One look; what is to be said of it, empty while the leader's host is heard."""
        seen = self.look()
        silent_s = self.heard.silent_s() if self.heard else 0.0
        if silent_s < self.after_s / 2:
            self.unsay()
            return ""
        if silent_s >= self.after_s:
            self.say(seen, silent_s)
        to_release, why = leader_key_decision.decide(self.me, seen, silent_s, self.others(), self.after_s)
        if not to_release:
            return f"not released: {why}"
        return f"released: {why}" if self.release(seen) else "not released: the leader or its copy has just changed"


def watch(settings: dict[str, Any]) -> None:
    watched, said, ticked, looked = Watch(settings), "", time.monotonic(), 0.0
    while True:
        now = time.monotonic()
        if watched.heard and now - ticked > settings["after_s"] / 2:
            # This host was away itself: what it did not hear in that time says nothing.
            watched.heard.at = now
        ticked = now
        silent = watched.heard is not None and watched.heard.silent_s() >= settings["after_s"] / 2
        if silent or now - looked >= settings["look_interval_s"]:
            looked = now
            try:
                sentence = watched.tick()
            except OSError as reason:
                sentence = f"not released: {reason}"
            if sentence and without_figures(sentence) != without_figures(said):
                print(sentence, flush=True)
            said = sentence
        time.sleep(settings["tick_interval_s"])


def without_figures(sentence: str) -> str:
    return "".join(letter for letter in sentence if not letter.isdigit())


def now(settings: dict[str, Any], leader: str) -> dict[str, Any]:
    watched = Watch(settings)
    try:
        seen = watched.seen()
        if seen.leader != leader:
            return {"released": False, "reason": f"{seen.leader or 'nobody'} leads, not {leader}"}
        to_release, why = leader_key_decision.decide(watched.me, seen, 0.0, [], watched.after_s, asked=True)
        if to_release and not watched.release(seen):
            to_release, why = False, "the leader or its copy has just changed"
    except OSError as reason:
        return {"released": False, "reason": str(reason)}
    print(f"{'released' if to_release else 'not released'}, asked by a person: {why}", file=sys.stderr, flush=True)
    return {"released": to_release, "reason": why}


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    settings = json.loads(SETTINGS.read_text())
    if arguments == ["watch"]:
        watch(settings)
    elif len(arguments) == 2 and arguments[0] == "now":
        print(json.dumps(now(settings, arguments[1])))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0

"""What the watch sees at one look: Prometheus on this host, the edges' health, the order of sites."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from till_host import ssh
from till_host.faults import Fault
from till_host.judging.counts import Counts
from till_host.release_watch import edges as road
from till_host.release_watch import traffic_query as counted
from till_host.release_watch.policy import Seen

PROMETHEUS = "http://127.0.0.1:9090/api/v1/query"
TIMEOUT_S = 3
PORT = 443
# Where a nameserver of the stack runs here; it is written when the order of sites changes.
ORDER = Path("/var/lib/till-site-order/order")
CHECKOUT = "checkout"
Health = dict[str, dict[str, bool] | None]


class Eyes:
    """Looks at one watched release. The old one is reached through the edge by the token of its slot."""

    def __init__(self, watch: dict[str, Any], settings: dict[str, Any]) -> None:
        self.watch, self.settings = watch, settings
        self.policy: dict[str, Any] = settings["thresholds"]["watch"]
        self.places = {
            side: [(host, one[f"{side}_slot"]) for host, one in watch["hosts"].items()] for side in ("new", "old")
        }
        self.tokens: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(max_workers=2 * len(watch["hosts"]))

    def look(self, now: float) -> Seen:
        healths = self._healths()
        try:
            found = counted.told(ask(self._query(now)))
        except (OSError, ValueError, KeyError):
            return Seen(False, health=healths, moved=self._order_moved(now))
        stale_s = self.settings["thresholds"]["rollout"]["stale_s"]
        new, old = (counted.readings(found, places, stale_s) for places in self.places.values())
        return Seen(
            fresh=counted.fresh(found, self.places["new"], stale_s),
            new=new,
            old=old,
            before={name: Counts(*one) for name, one in self.watch["before"].items()},
            health=healths,
            restarts={
                host: {
                    side: counted.restarts(found, (host, one[f"{side}_slot"]), side == "old") for side in ("new", "old")
                }
                for host, one in self.watch["hosts"].items()
            },
            moved=self._order_moved(now) or found.get(("", ""), {}).get("moved", 0) > 0,
            serves=counted.serves(found, self.places["new"]),
        )

    def before(self) -> dict[str, tuple[int, int]]:
        """By measure what the old release answered before the deploy began; {} where that is not known."""
        query = counted.query_before(self.policy["baseline_s"], self.watch["unasked"])
        try:
            found = counted.told(ask(query, self.watch["deploy_at"]))
        except (OSError, ValueError, KeyError):
            return {}
        return {name: (one.requests, one.bad) for name, one in counted.counts(found, self.places["old"]).items()}

    def remember(self) -> None:
        """The tokens that lead to the old release, while one does; a host that can't be asked is told without."""
        for host, state in ssh.at_once(self.watch["hosts"], road.show).items():
            old = self.watch["hosts"][host]["old_slot"]
            if not isinstance(state, Fault) and CHECKOUT in state["sticky"].get(old, []):
                self.tokens[host] = token(old, state["digests"].get(old, ""))

    def served(self, host: str) -> tuple[str | None, bool]:
        """The version that an edge serves, and whether its health is good."""
        version = None
        if self.watch["version_path"]:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                version = str(json.loads(self._get(host, self.watch["version_path"], "")[1])["version"])
        try:
            return version, bool(self._get(host, self.settings["health_path"], "")[0] == http.client.OK)
        except (OSError, http.client.HTTPException):
            return version, False

    def _query(self, now: float) -> str:
        # The deploy began the slot's process; only what came after it is a restart.
        restarts_s = min(self.policy["restarts_s"], max(1, int(now - self.watch["since"])))
        return counted.query(restarts_s, self.policy["settle_s"], self.watch["unasked"])

    def _order_moved(self, now: float) -> bool:
        try:
            return bool(now - ORDER.stat().st_mtime < self.policy["settle_s"])
        except OSError:
            return False

    def _healths(self) -> dict[str, Health]:
        asked = [(host, side) for host in self.watch["hosts"] for side in ("new", "old")]
        found: dict[str, Health] = {host: {} for host in self.watch["hosts"]}
        for (host, side), parts in zip(asked, self._pool.map(lambda one: self._health(*one), asked), strict=True):
            if parts != {"unknown": True}:
                found[host][side] = parts
        return found

    def _health(self, host: str, side: str) -> dict[str, bool] | None:
        """The parts that a release says are there; None: no answer of it; {"unknown": True}: another one answered."""
        if side == "old" and host not in self.tokens:
            return {"unknown": True}
        cookie = f"{self.settings['cookie']}={self.tokens[host]}" if side == "old" else ""
        try:
            status, text = self._get(host, self.settings["health_path"], cookie)
        except (OSError, http.client.HTTPException):
            return None
        try:
            told = json.loads(text)
            checks = {str(name): bool(one["ok"]) for name, one in told.get("checks", {}).items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return None if status >= http.client.INTERNAL_SERVER_ERROR else {}
        wanted = self.watch["version" if side == "new" else "old_version"]
        return checks if told.get("release", wanted) == wanted else {"unknown": True}

    def _get(self, host: str, path: str, cookie: str) -> tuple[int, str]:
        trust = ssl.create_default_context()
        # As the nameservers check: it is our own edge; certificates have a watch of their own.
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection(
            self.settings["addresses"][host], PORT, timeout=self.policy["health_timeout_s"], context=trust
        )
        try:
            link.request(
                "GET", path, headers={"Host": self.settings["shop_name"], **({"Cookie": cookie} if cookie else {})}
            )
            answer = link.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            link.close()


def ask(query: str, at: float | None = None) -> list[dict[str, Any]]:
    """Prometheus's series; raises OSError, ValueError, KeyError."""
    body = urllib.parse.urlencode({"query": query, "time": f"{at or time.time():.3f}"}).encode()
    with urllib.request.urlopen(PROMETHEUS, body, timeout=TIMEOUT_S) as answer:
        return list(json.load(answer)["data"]["result"])


def token(slot: str, digest: str) -> str:
    """As the edge's slots make it (role app, till_slots.token; a test holds both equal)."""
    return hashlib.sha256(f"{CHECKOUT} {slot} {digest}".encode()).hexdigest()[:32]

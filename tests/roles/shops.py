"""A watched release that is looked at each second, for tests of what the watch decides."""

from __future__ import annotations

from typing import Any

from till.policy import thresholds
from till_host.judging.counts import Counts
from till_host.release_watch import decide as watch
from till_host.release_watch import policy as policies

POLICY: Any = policies.policy(thresholds())
GOOD = {"directus": True, "database": True, "paypal": True}
WELL = {"new": GOOD, "old": GOOD}
NEW_PLACE, OLD_PLACE = ("alpha", "green"), ("alpha", "blue")
WELL_BEFORE = {"payments": Counts(200, 6), "orders": Counts(100, 2)}
START = 1000.0


def counts(requests: int, bad: int = 0) -> Counts:
    return Counts(requests, bad)


class Shop:
    """A watched release that is looked at each second; its counters grow by what each second brings."""

    def __init__(self, policy: Any = POLICY, **known: Any) -> None:
        self.policy, self.memory, self.now = policy, watch.Memory(), START
        self.sides = {
            NEW_PLACE: dict.fromkeys(policy.rules, Counts()),
            OLD_PLACE: dict.fromkeys(policy.rules, Counts()),
        }
        self.known = {
            "fresh": True, "health": {"alpha": WELL, "bravo": WELL}, "serves": True, "before": WELL_BEFORE,
            "restarts": {host: {"new": 0, "old": 0} for host in ("alpha", "bravo")}, **known,
        }  # fmt: skip
        self.look()

    def count(self, place: Any = NEW_PLACE, **grown: Counts) -> None:
        for name, one in grown.items():
            self.sides[place][name] += one

    def look(self, **changed: Any) -> Any:
        known = {**self.known, **changed}
        seen = policies.Seen(
            new={NEW_PLACE: dict(self.sides[NEW_PLACE])}, old={OLD_PLACE: dict(self.sides[OLD_PLACE])}, **known
        )
        decision = watch.decide(seen, self.memory, self.policy, self.now)
        self.now += 1
        return decision

    def looks(self, for_s: float = 120, old: Any = None, **grown: Counts) -> Any:
        """The decision after so long, each second of which brings the same; the first that does something."""
        for _ in range(int(for_s) + 1):
            self.count(**grown)
            self.count(OLD_PLACE, **(old or {}))
            decision = self.look()
            if decision.action:
                break
        return decision

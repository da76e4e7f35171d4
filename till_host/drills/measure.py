"""The numbers of a failover drill, from what buyers and the watch noted. Pure; times are s since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from till_host.payments.buyer import Purchase

LEADS, FOLLOWS, RELEASED, KEY = "leads", "follows", "released", "leader key"
NO_ANSWER = ("silence", "empty")


@dataclass(frozen=True)
class Told:
    """From this time on, `who` (a nameserver, the resolver, a database, the leader key) tells this."""

    at: float
    who: str
    what: str


@dataclass(frozen=True)
class Broken:
    """What was broken when: the site that led, its leading host, from `at` until its time was over."""

    site: str
    leader: str
    at: float
    until: float


def detected_s(told: list[Told], broken: Broken) -> float | None:
    """Until a nameserver or the resolver, which may be heard first, answered another site than before, or the leader's
    key was released; None when none of it was."""
    found, before = list[float](), dict[str, str]()
    for one in told:
        if one.who == KEY and one.what == RELEASED and broken.at <= one.at <= broken.until:
            found.append(one.at)
        if not one.who.startswith(("nameserver ", "resolver")) or one.what in NO_ANSWER:
            continue
        if broken.at <= one.at <= broken.until and before.get(one.who, one.what) != one.what:
            found.append(one.at)
        before[one.who] = one.what
    return _since(min(found, default=None), broken)


def dns_switch_s(told: list[Told], broken: Broken) -> float | None:
    """Until the caching resolver's answer held the broken site no more; None when it never left it in the fault's time.

    Silence is no answer: what was answered before it holds on.
    """
    left_at = None
    for one in told:
        if one.who != "resolver" or one.what in NO_ANSWER or one.at > broken.until:
            continue
        if broken.site in one.what.split("+"):
            left_at = None
        elif one.at >= broken.at and left_at is None:
            left_at = one.at
    return _since(left_at, broken)


def promoted_s(told: list[Told], broken: Broken) -> float | None:
    """Until another host's database said that it leads; None when none did in the fault's time."""
    others = [
        one.at
        for one in told
        if one.who.startswith("database ") and one.who != f"database {broken.leader}" and one.what == LEADS
        if broken.at <= one.at <= broken.until
    ]
    return _since(min(others, default=None), broken)


def pauses(purchases: list[Purchase], begin: float, end: float) -> list[tuple[float, float]]:
    """The gaps between acknowledged payments from `begin` to `end`, each as (s after `begin`, length)."""
    times = sorted(one.ended for one in purchases if one.payment and begin <= one.ended <= end)
    return [(earlier - begin, later - earlier) for earlier, later in pairwise([begin, *times, end])]


def payments(
    purchases: list[Purchase], broken: Broken, began: float, ended: float, load: dict[str, Any]
) -> dict[str, Any]:
    """rto_s and pause_s (see the runbook), and what became of the purchases; the load ran from `began` to `ended`.

    A pause counts when it is longer than `noticed_s` of the load and than any before the fault. rto_s is None when
    nothing was acknowledged any more. Who was told after `purchase_timeout_s` was told too late.
    """
    before = max((length for _, length in pauses(purchases, began, broken.at)), default=0.0)
    after = pauses(purchases, broken.at, ended)
    at, length = max(after, key=lambda one: one[1])
    rto_s: float | None = at + length if length > max(load["noticed_s"], before) else 0.0
    if broken.at + at + length >= ended and rto_s:
        rto_s = None
    acknowledged = [one for one in purchases if one.payment]
    in_time = [one for one in acknowledged if one.ended - one.began <= load["purchase_timeout_s"]]
    return {
        "rto_s": None if rto_s is None else round(rto_s, 2),
        "pause_s": round(length, 2),
        "pause_before_s": round(before, 2),
        "purchases": len(purchases),
        "acknowledged_payments": len(acknowledged),
        "failed_requests": len(purchases) - len(in_time),
        "failed_tries": sum(one.tries for one in purchases),
        "slowest_s": round(max((one.ended - one.began for one in acknowledged), default=0.0), 2),
    }


def limits_broken(result: dict[str, Any], limits: dict[str, float], fast_release: bool) -> list[str]:
    """A sentence for each number above what is allowed; `limits` as in till/thresholds.yml, drill_failover."""
    rto_max_s = limits["rto_max_s"] if fast_release else limits["rto_on_lease_max_s"]
    allowed = {
        "rto_s": rto_max_s,
        "dns_switch_s": limits["dns_switch_max_s"],
        "lost_payments": limits["lost_max"],
        "duplicated_payments": limits["duplicated_max"],
    }
    return [
        f"{name} is {result[name]}, {most} is allowed"
        for name, most in allowed.items()
        if result.get(name) is not None and result[name] > most
    ]


def timeline(told: list[Told], broken: Broken) -> list[dict[str, Any]]:
    """What each told when the fault began (at_s 0 or before), then each change with its seconds."""
    return [{"at_s": round(one.at - broken.at, 2), "who": one.who, "what": one.what} for one in told]


def requests(purchases: list[Purchase], broken: Broken) -> list[list[float]]:
    """For the plot: each purchase as [s from the fault to its begin, how long it took, 1 when acknowledged else 0]."""
    return sorted(
        [round(one.began - broken.at, 2), round(one.ended - one.began, 2), int(bool(one.payment))] for one in purchases
    )


def _since(at: float | None, broken: Broken) -> float | None:
    return None if at is None else round(at - broken.at, 2)

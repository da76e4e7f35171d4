"""What slots answered within a window, as one question to Prometheus and its answer read. Pure.

The edge counts requests (job traffic), the release tells payments and times of its own (job slots). Each series of the
answer has `what`, and where it is of a slot `host` and `slot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from till_host.release_watch.policy import Counts

EDGE = "haproxy_server_"
TIMES, PAYMENTS = "till_http_request_duration_seconds", "till_payments_total"
# The step in which a release makes an order, as its metrics call it.
CREATE = "create"
SLOW_S = {"ten_seconds": 10, "two_seconds": 2}
# A host and its slot, and by `what` the number that it told.
Place = tuple[str, str]
Told = Mapping[Place, Mapping[str, float]]


def query(window_s: float, long_s: float, settle_s: float, unasked: Iterable[str]) -> str:
    """Counts of a window, payments also of a long one.

    `unasked`: routes that no customer asks; `settle_s`: how long ago a move of the leader still counts.
    """
    routes = "|".join(_plain(route) for route in unasked if route)
    asked = f'job="slots",route!~"{routes}"' if routes else 'job="slots"'
    edge, slots = 'job="traffic"', 'job="slots"'
    lost = [_sum(f"{EDGE}{kind}_errors_total", edge, window_s, "server") for kind in ("response", "connection")]
    parts = {
        "answered": _sum(f"{EDGE}http_responses_total", edge, window_s, "server"),
        "failed": _sum(f"{EDGE}http_responses_total", f'{edge},code="5xx"', window_s, "server"),
        "lost": f"{lost[0]} + {lost[1]}",
        "age": f"max by (host, server) (time() - timestamp({EDGE}weight{{{edge}}}))",
        "weight": f"max by (host, server) ({EDGE}weight{{{edge}}})",
        "timed": _sum(f"{TIMES}_count", asked, window_s, "slot"),
        "failing": _sum(f"{TIMES}_count", f'{asked},status=~"5.."', window_s, "slot"),
        "paid": _payments(slots, "success", window_s),
        "unpaid": _payments(slots, "error", window_s),
        "paid long": _payments(slots, "success", long_s),
        "unpaid long": _payments(slots, "error", long_s),
        "created": _payments(f'{slots},step="{CREATE}"', "success", window_s),
        "uncreated": _payments(f'{slots},step="{CREATE}"', "error", window_s),
        "up": f"max by (host, slot) (up{{{slots}}})",
        "restarts": f"max by (host, slot) (changes(process_start_time_seconds{{{slots}}}[{window_s:g}s]))",
        "moved": f'sum(changes(patroni_primary{{job="database"}}[{settle_s:g}s]))',
    }
    for name, limit_s in SLOW_S.items():
        parts[f"within {name}"] = _sum(f"{TIMES}_bucket", f'{asked},le=~"{limit_s}|{limit_s}[.]0"', window_s, "slot")
    return " or ".join(f'label_replace({asking}, "what", "{what}", "", "")' for what, asking in parts.items())


def told(result: Iterable[dict[str, Any]]) -> Told:
    """Prometheus's series by host and slot; what is of no slot is at ("", "")."""
    found: dict[Place, dict[str, float]] = {}
    for series in result:
        labels = series["metric"]
        place = (labels.get("host", ""), labels.get("server") or labels.get("slot", ""))
        found.setdefault(place, {})[labels["what"]] = float(series["value"][1])
    return found


def counts(found: Told, places: Iterable[Place]) -> dict[str, Counts]:
    """By measure what these slots answered together."""
    sums: dict[str, float] = {}
    for place in places:
        for what, number in found.get(place, {}).items():
            sums[what] = sums.get(what, 0.0) + number
    lost = sums.get("lost", 0.0)
    edge = _counts(sums.get("answered", 0.0) + lost, sums.get("failed", 0.0) + lost)
    own = _counts(sums.get("timed", 0.0) + lost, sums.get("failing", 0.0) + lost)
    known = {
        # The stack's own checks are most of what an edge sees at night, and a release may not see what it fails.
        "errors": max(edge, own, key=lambda one: one.ratio),
        "payments": _outcomes(sums, "paid", "unpaid"),
        "payments_long": _outcomes(sums, "paid long", "unpaid long"),
        "orders": _outcomes(sums, "created", "uncreated"),
    }
    for name in SLOW_S:
        within = sums.get(f"within {name}")
        timed = sums.get("timed", 0.0)
        known[name] = Counts() if within is None else _counts(timed, timed - within)
    return known


def fresh(found: Told, places: Iterable[Place], stale_s: float) -> bool:
    """Whether an edge told of such a slot a moment ago: where a site is gone, the release of the other one is seen."""
    return any(found.get(place, {}).get("age", stale_s + 1) <= stale_s for place in places)


def serves(found: Told, places: Iterable[Place]) -> bool | None:
    """Whether any of these slots has traffic; None where no edge tells."""
    weights = [found[place]["weight"] for place in places if "weight" in found.get(place, {})]
    return any(weights) if weights else None


def restarts(found: Told, place: Place, witness: bool) -> int | None:
    """How often a slot's process began anew; None where that is not known. A witness tells only while it is there."""
    here = found.get(place, {})
    return round(here["restarts"]) if "restarts" in here and (here.get("up") or not witness) else None


def _sum(name: str, selector: str, window_s: float, by: str) -> str:
    return f"sum by (host, {by}) (increase({name}{{{selector}}}[{window_s:g}s]))"


def _payments(selector: str, outcome: str, window_s: float) -> str:
    return _sum(PAYMENTS, f'{selector},outcome="{outcome}"', window_s, "slot")


def _outcomes(sums: Mapping[str, float], good: str, failed: str) -> Counts:
    return _counts(sums.get(good, 0.0) + sums.get(failed, 0.0), sums.get(failed, 0.0))


def _plain(text: str) -> str:
    """A route as a regular expression inside of PromQL's quotes; only what routes are made of."""
    return "".join(one if one.isalnum() or one in "/_-" else "." for one in text)


def _counts(requests: float, failed: float) -> Counts:
    # Prometheus reckons to the edges of a window, so counts are no whole numbers.
    whole = round(requests)
    return Counts(whole, min(max(round(failed), 0), whole))

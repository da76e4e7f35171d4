"""What slots answered, as one question to Prometheus and its answer read. Pure.

The edge counts requests (job traffic), the release tells payments and times of its own (job slots). Each series of the
answer has `what`, and where it is of a slot `host` and `slot`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from till_host.judging.counts import Counts
from till_host.judging.tally import Place

EDGE = "haproxy_server_"
TIMES, PAYMENTS = "till_http_request_duration_seconds", "till_payments_total"
# The step in which a release makes an order, as its metrics call it.
CREATE = "create"
SLOW_S = {"ten_seconds": 10, "two_seconds": 2}
# What the edge counts; the rest is the release's own, of another scrape.
EDGES = ("errors",)
# A host and its slot, and by `what` the number that it told.
Told = Mapping[Place, Mapping[str, float]]


def query(restarts_s: float, settle_s: float, unasked: Iterable[str]) -> str:
    """Counters as they are now, and how the slots are.

    `unasked`: routes that no customer asks; `restarts_s`, `settle_s`: how long ago a restart, a move of the leader
    still counts.
    """
    slots, edge = 'job="slots"', 'job="traffic"'
    parts = {
        **_counters(lambda counter: counter, unasked),
        "age": f"max by (host, server) (time() - timestamp({EDGE}weight{{{edge}}}))",
        "weight": f"max by (host, server) ({EDGE}weight{{{edge}}})",
        "up": f"max by (host, slot) (up{{{slots}}})",
        "restarts": f"max by (host, slot) (changes(process_start_time_seconds{{{slots}}}[{restarts_s:g}s]))",
        "moved": f'sum(changes(patroni_primary{{job="database"}}[{settle_s:g}s]))',
    }
    return _labelled(parts)


def query_before(window_s: float, unasked: Iterable[str]) -> str:
    """What came within a window, whichever programs counted it."""
    return _labelled(_counters(lambda counter: f"increase({counter}[{window_s:g}s])", unasked))


def _counters(grown: Callable[[str], str], unasked: Iterable[str]) -> dict[str, str]:
    routes = "|".join(_plain(route) for route in unasked if route)
    asked = f'job="slots",route!~"{routes}"' if routes else 'job="slots"'
    edge, slots = 'job="traffic"', 'job="slots"'

    def total(name: str, selector: str, by: str) -> str:
        return f"sum by (host, {by}) ({grown(f'{name}{{{selector}}}')})"

    def payments(selector: str, outcome: str) -> str:
        return total(PAYMENTS, f'{selector},outcome="{outcome}"', "slot")

    lost = [total(f"{EDGE}{kind}_errors_total", edge, "server") for kind in ("response", "connection")]
    create = f'{slots},step="{CREATE}"'
    parts = {
        "answered": total(f"{EDGE}http_responses_total", edge, "server"),
        "failed": total(f"{EDGE}http_responses_total", f'{edge},code="5xx"', "server"),
        "lost": f"{lost[0]} + {lost[1]}",
        "timed": total(f"{TIMES}_count", asked, "slot"),
        "failing": total(f"{TIMES}_count", f'{asked},status=~"5.."', "slot"),
        "paid": payments(slots, "success"),
        "unpaid": payments(slots, "error"),
        "created": payments(create, "success"),
        "uncreated": payments(create, "error"),
    }
    for name, limit_s in SLOW_S.items():
        parts[f"within {name}"] = total(f"{TIMES}_bucket", f'{asked},le=~"{limit_s}|{limit_s}[.]0"', "slot")
    return parts


def _labelled(parts: Mapping[str, str]) -> str:
    return " or ".join(f'label_replace({asking}, "what", "{what}", "", "")' for what, asking in parts.items())


def told(result: Iterable[dict[str, Any]]) -> Told:
    """Prometheus's series by host and slot; what is of no slot is at ("", "")."""
    found: dict[Place, dict[str, float]] = {}
    for series in result:
        labels = series["metric"]
        place = (labels.get("host", ""), labels.get("server") or labels.get("slot", ""))
        found.setdefault(place, {})[labels["what"]] = float(series["value"][1])
    return found


def readings(found: Told, places: Iterable[Place], stale_s: float) -> dict[Place, dict[str, Counts]]:
    """By place and measure what has been counted since each program began; only what was told a moment ago.

    A measure comes whole from one scrape: a counter that is missing for a second would look as if it had begun anew.
    """
    known: dict[Place, dict[str, Counts]] = {}
    for place in places:
        here = found.get(place, {})
        scraped = {True: here.get("age", stale_s + 1) <= stale_s, False: bool(here.get("up"))}
        known[place] = {name: one for name, one in measures(here).items() if scraped[name in EDGES]}
    return known


def counts(found: Told, places: Iterable[Place]) -> dict[str, Counts]:
    """By measure what these slots answered together within a window."""
    sums: dict[str, Counts] = {}
    for place in places:
        for name, one in measures(found.get(place, {})).items():
            sums[name] = sums.get(name, Counts()) + one
    return sums


def measures(here: Mapping[str, float]) -> dict[str, Counts]:
    """By measure the counts of one slot; a measure of which nothing is told is 0 of 0."""
    lost, timed = here.get("lost", 0.0), here.get("timed", 0.0)
    known = {
        # The stack's own checks are most of what an edge sees at night, and a release may not see what it fails.
        "errors": _counts(here.get("answered", 0.0) + lost, here.get("failed", 0.0) + lost),
        "own_errors": _counts(timed, here.get("failing", 0.0)),
        "payments": _outcomes(here, "paid", "unpaid"),
        "orders": _outcomes(here, "created", "uncreated"),
    }
    for name in SLOW_S:
        within = here.get(f"within {name}")
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


def _outcomes(sums: Mapping[str, float], good: str, failed: str) -> Counts:
    return _counts(sums.get(good, 0.0) + sums.get(failed, 0.0), sums.get(failed, 0.0))


def _plain(text: str) -> str:
    """A route as a regular expression inside of PromQL's quotes; only what routes are made of."""
    return "".join(one if one.isalnum() or one in "/_-" else "." for one in text)


def _counts(requests: float, failed: float) -> Counts:
    # Over a window Prometheus reckons to its edges, so counts are no whole numbers.
    whole = round(requests)
    return Counts(whole, min(max(round(failed), 0), whole))

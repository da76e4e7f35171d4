"""What each slot of the fleet answered until now, from Prometheus on the host that watches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infra.contract import Role
from till.hosts import programs
from till.hosts.session import Session
from till_host.judging.counts import NOTHING, Counts
from till_host.judging.tally import Place, Reading

TIMEOUT_S = 15
RESPONSES = "haproxy_server_http_responses_total"
LOST = ("haproxy_server_response_errors_total", "haproxy_server_connection_errors_total")
TIMES, PAYMENTS = "till_http_request_duration_seconds", "till_payments_total"
NAMES = (RESPONSES, *LOST, f"{TIMES}_count", f"{TIMES}_bucket", PAYMENTS)
# Outcomes of a payment call that are the service's own doing, good or bad; the rest is the buyer's.
SUCCESS, ERROR = "success", "error"


def read(
    session: Session, limits_s: Mapping[str, float], unasked: Iterable[str], window_s: float
) -> dict[Place, Reading]:
    """By host and slot; one that told nothing within the window is missing. Raises HostUnreachable, TillError.

    `limits_s`: above which time a request is slow, by measure. `unasked`: routes that no customer asks.
    """
    contract = session.contract
    host = programs.host_with(contract, Role.MONITORING).name
    selector = f'{{job=~"traffic|slots",__name__=~"{"|".join(NAMES)}"}}[{window_s:g}s]'
    told = programs.run_host_program(
        session, host, "metrics", selector, timeout_s=TIMEOUT_S, next_command=f"till status {contract.stack}"
    )
    return readings(told["result"], told["now"], limits_s, set(unasked))


def readings(
    result: Iterable[dict[str, Any]], now: float, limits_s: Mapping[str, float], unasked: set[str]
) -> dict[Place, Reading]:
    """Prometheus's series as counts: requests are the edge's, the rest a release tells of itself. Pure."""
    sums: dict[Place, dict[str, float]] = {}
    oldest: dict[Place, float] = {}
    for series in result:
        labels, (at, text) = series["metric"], series["values"][-1]
        place = (labels["host"], labels.get("server") or labels.get("slot", ""))
        if labels["job"] == "traffic":
            oldest[place] = max(oldest.get(place, 0.0), now - float(at))
        if labels.get("route") in unasked:
            continue
        found = sums.setdefault(place, {})
        for what in _kinds(labels, limits_s):
            found[what] = found.get(what, 0.0) + float(text)
    return {place: Reading(_counts(sums.get(place, {}), limits_s), age_s) for place, age_s in oldest.items()}


def _kinds(labels: Mapping[str, str], limits_s: Mapping[str, float]) -> list[str]:
    """What a series counts."""
    name = labels["__name__"]
    if name == RESPONSES:
        return ["requests", "failed"] if labels["code"] == "5xx" else ["requests"]
    if name in LOST:
        return ["requests", "failed"]
    if name == PAYMENTS:
        outcome = labels.get("outcome")
        return ["payments", "failed payments"] if outcome == ERROR else ["payments"] if outcome == SUCCESS else []
    if name == f"{TIMES}_count":
        return ["timed"]
    return [f"within {measure}" for measure, limit_s in limits_s.items() if float(labels["le"]) == limit_s]


def _counts(found: Mapping[str, float], limits_s: Mapping[str, float]) -> dict[str, Counts]:
    timed = round(found.get("timed", 0))
    counts = {
        "errors": _some(found.get("requests", 0), found.get("failed", 0)),
        "payments": _some(found.get("payments", 0), found.get("failed payments", 0)),
    }
    for measure in limits_s:
        within = found.get(f"within {measure}")
        counts[measure] = NOTHING if within is None else _some(timed, timed - within)
    return counts


def _some(requests: float, bad: float) -> Counts:
    # Series of one scrape, but not of one moment: a count may be ahead of another.
    return Counts(round(requests), min(max(round(bad), 0), round(requests)))

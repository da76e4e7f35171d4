"""Counts of slots from what Prometheus tells, added up over hosts whose programs start anew."""

from __future__ import annotations

from typing import Any

from till.platforms.vps.counters import readings
from till_host.judging.counts import Counts
from till_host.judging.tally import CounterSum, Reading

NOW = 1000.0
LIMITS_S = {"slow": 0.5, "very_slow": 1.0}


def series(name: str, value: float, at: float = NOW - 1, job: str = "traffic", **labels: str) -> dict[str, Any]:
    return {
        "metric": {"__name__": name, "job": job, "host": "alpha", **labels},
        "values": [[at - 1, "0"], [at, str(value)]],
    }


def responses(code: str, value: float, **other: Any) -> dict[str, Any]:
    return series("haproxy_server_http_responses_total", value, server="green", code=code, **other)


def times(le: str, value: float, route: str = "/") -> dict[str, Any]:
    return series("till_http_request_duration_seconds_bucket", value, job="slots", slot="green", le=le, route=route)


def timed(value: float, route: str = "/") -> dict[str, Any]:
    return series("till_http_request_duration_seconds_count", value, job="slots", slot="green", route=route)


def counts(*told: dict[str, Any], unasked: set[str] | None = None) -> dict[str, Counts]:
    return dict(readings(told, NOW, LIMITS_S, unasked or set())["alpha", "green"].counts)


def test_failed_requests_are_bad_answers_and_those_that_got_none() -> None:
    lost = series("haproxy_server_response_errors_total", 2, server="green")
    found = counts(responses("2xx", 90), responses("4xx", 5), responses("5xx", 3), lost)
    assert found["errors"] == Counts(100, 5)


def test_slow_is_what_the_limits_bucket_does_not_hold() -> None:
    found = counts(responses("2xx", 9), timed(40), times("0.5", 30), times("1", 37), times("5", 40))
    assert (found["slow"], found["very_slow"]) == (Counts(40, 10), Counts(40, 3))


def test_routes_that_no_customer_asks_do_not_thin_the_rest() -> None:
    told = (responses("2xx", 9), timed(1000, "/up"), times("0.5", 1000, "/up"), timed(10), times("0.5", 4))
    assert counts(*told, unasked={"/up"})["slow"] == Counts(10, 6)


def test_a_release_without_the_limits_bucket_tells_nothing_of_it() -> None:
    assert counts(responses("2xx", 9), timed(40), times("0.25", 1))["slow"] == Counts()


def test_payments_count_the_services_own_doing_and_not_the_buyers() -> None:
    told = [
        series("till_payments_total", value, job="slots", slot="green", step="capture", outcome=outcome)
        for outcome, value in (("success", 7), ("error", 2), ("declined", 50), ("refused", 50))
    ]
    assert counts(responses("2xx", 9), *told)["payments"] == Counts(9, 2)


def test_a_slot_that_the_edge_tells_nothing_of_is_missing_and_an_old_value_has_its_age() -> None:
    found = readings([timed(4), responses("2xx", 9, at=NOW - 7)], NOW, LIMITS_S, set())
    assert set(found) == {("alpha", "green")}
    assert found["alpha", "green"].age_s == 7


def read(**requests: int) -> dict[tuple[str, str], Reading]:
    return {(host, "green"): Reading({"errors": Counts(count, 0)}, 1.0) for host, count in requests.items()}


def test_a_tally_counts_from_its_first_reading_on_and_through_restarts() -> None:
    tally = CounterSum((("alpha", "green"), ("bravo", "green")))
    for reading in (read(alpha=100, bravo=50), read(alpha=110, bravo=55), read(alpha=3, bravo=60)):
        assert tally.add(reading, 5)
    assert tally.total["errors"] == Counts(10 + 5 + 3 + 5)


def test_a_tally_takes_nothing_where_a_slot_is_missing_or_stale() -> None:
    tally = CounterSum((("alpha", "green"), ("bravo", "green")))
    assert tally.add(read(alpha=1, bravo=1), 5)
    assert not tally.add(read(alpha=9), 5)
    assert not tally.add(read(alpha=9, bravo=9), 0.5)
    assert tally.total["errors"] == Counts(0)

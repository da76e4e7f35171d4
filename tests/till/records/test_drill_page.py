"""The page of a failover drill, rendered offline: what must be there, and what must not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.till.conftest import contract_of, host
from till.errors import GateSaidNo, Refused, UsageError
from till.policy import host_policy, thresholds
from till.records import drill_page, drill_plot
from till.recovery.drills import failover

RESULT: dict[str, Any] = {
    "drill": "failover",
    "name": "failover-20260106T223000Z",
    "fault": "host-kill",
    "fast_release": False,
    "payments": True,
    "limits": thresholds()["drill_failover"]["limits"],
    "at": 1_800_000_000.0,
    "ok": True,
    "phases": [{"name": "look", "start_s": 0.0, "duration_s": 1.0}],
    "site": "alpha",
    "leader": "alpha",
    "hosts": ["alpha"],
    "detected_s": 0.8,
    "dns_switch_s": 8.2,
    "promoted_s": 21.6,
    "rto_s": 26.8,
    "well_s": 79.0,
    "acknowledged_payments": 2,
    "failed_requests": 1,
    "lost_payments": 0,
    "duplicated_payments": 0,
    "charged_unacknowledged": 0,
    "charged_without_order": 0,
    "lost": [],
    "duplicated": [],
    "failback_s": None,
    "fault_at_s": 10.0,
    "fault_for_s": 45,
    "events": [
        {"at_s": -9.0, "who": "resolver", "what": "alpha"},
        {"at_s": 3.0, "who": "resolver", "what": "silence"},
        {"at_s": 8.2, "who": "resolver", "what": "bravo"},
        {"at_s": -9.0, "who": "database bravo", "what": "follows"},
        {"at_s": 21.6, "who": "database bravo", "what": "leads"},
    ],
    "requests": [[-5.0, 0.5, 1], [0.5, 10.0, 0], [27.0, 0.5, 1]],
    "duration_s": 120.0,
}
EARLY = {
    key: RESULT[key]
    for key in (
        "drill",
        "name",
        "fault",
        "fast_release",
        "payments",
        "limits",
        "at",
        "phases",
        "site",
        "leader",
        "hosts",
    )
} | {"ok": False, "reason": "<nothing> could be bought", "duration_s": 20.0}


def test_the_page_shows_numbers_limits_and_every_purchase() -> None:
    page = drill_page.render("lab", RESULT)
    assert page.count("<circle") == 3 and page.count('fill="#c62f2f"') == 1
    assert page.count("<rect") == 5
    for words in ("host-kill", "26.8 s", "30 s", "8.2 s", "verdict ok", ">fault<", ">payments<", ">resolver<"):
        assert words in page, words
    # Nothing had to be failed back.
    assert '<td class="number">-</td>' in page


def test_a_drill_that_broke_nothing_has_its_reason_escaped_and_no_plot() -> None:
    page = drill_page.render("lab", EARLY)
    assert "verdict failed" in page and "&lt;nothing&gt; could be bought" in page
    assert "<svg" not in page


def test_without_payments_the_page_says_so_and_claims_none() -> None:
    page = drill_page.render("lab", {**RESULT, "payments": False, "acknowledged_payments": 0})
    assert "nobody is charged by a drill" in page and "exactly once" not in page


def test_a_faster_limit_holds_where_dead_leaders_are_released_early() -> None:
    allowed = {row["what"]: row["allowed"] for row in drill_page.rows({**RESULT, "fast_release": True})}
    assert next(most for what, most in allowed.items() if what.startswith("Payments were")) == "10 s"


def test_places_in_the_plot_are_in_order_and_inside() -> None:
    plot = drill_plot.plot(RESULT)
    marks = [(event["name"], event["x"]) for event in plot["events"]]
    assert [name for name, _ in marks] == ["fault", "detected", "names", "promoted", "payments", "healed"]
    assert all(0 <= x <= plot["width"] for _, x in marks)
    assert [one["x"] for one in plot["purchases"]] == sorted(one["x"] for one in plot["purchases"])
    slow = plot["purchases"][1]
    assert not slow["acknowledged"] and slow["y"] < plot["purchases"][0]["y"]
    resolver = next(lane for lane in plot["lanes"] if lane["who"] == "resolver")
    assert [span["what"] for span in resolver["spans"]] == ["alpha", "silence", "bravo"]
    assert all(span["x"] + span["width"] <= plot["width"] + 1 for span in resolver["spans"])


@pytest.fixture
def reports(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(drill_page, "STATE", tmp_path)
    return tmp_path


def test_what_is_brought_home_is_without_the_plots_points(reports: Any) -> None:
    told = failover.report_result("lab", RESULT)
    assert "requests" not in told and "events" not in told and told["rto_s"] == 26.8
    with pytest.raises(GateSaidNo, match="nothing> could be bought") as refused:
        failover.report_result("lab", EARLY)
    assert refused.value.facts["report"].endswith("failover-20260106T223000Z.html")


def test_a_production_stack_is_broken_only_when_its_name_was_typed() -> None:
    lab = contract_of(host("alpha"))
    failover.refuse_unconfirmed(lab, "host-kill", "", "")
    with pytest.raises(UsageError, match="no fault of a drill"):
        failover.refuse_unconfirmed(lab, "disk-full", "", "")
    real = contract_of(host("alpha"), stack="production", environment="production")
    with pytest.raises(Refused) as refused:
        failover.refuse_unconfirmed(real, "host-kill", "new provider", "lab")
    assert "--override 'new provider' --confirm production" in refused.value.next_command
    failover.refuse_unconfirmed(real, "host-kill", "", "production")


def test_a_fault_lasts_longer_than_the_lease_that_it_waits_for() -> None:
    policy = host_policy()
    for kind in ("host-kill", "site-partition"):
        assert policy["failover_drill_fault_s"][kind] > policy["postgres_ttl_s"] + policy["postgres_retry_timeout_s"]
    assert max(policy["failover_drill_fault_s"].values()) <= policy["faults_duration_max_s"]
    # The edge takes one payment call of a user in this time.
    load = policy["policy_drill_failover_load"]
    assert load["retry_pause_s"] * 1000 > policy["edge_payment_interval_ms"]
    assert load["purchase_timeout_s"] == thresholds()["smoke"]["request_timeout_s"]

"""Verdicts and their sentences."""

from __future__ import annotations

from typing import Any

import pytest

from till.checks import verdicts

PURCHASE = {"transaction_id": "T1", "total_omr": "4.115", "charge": {"currency": "USD", "amount": "10.70"}}
ROW: dict[str, Any] = {
    "id": "o1",
    "payment_status": "completed",
    "payment_intent_id": "T1",
    "customer_id": {"id": "c1"},
    "items": [{"line_total_omr": "4.000"}, {"line_total_omr": "0.115"}],
    "total_omr": "4.115",
    "charge_amount": "10.70",
}


def test_a_paid_order_passes() -> None:
    verdict = verdicts.order(PURCHASE, ROW)
    assert verdict.passed and "o1" in verdict.sentence


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"payment_status": "pending"}, "payment_status is 'pending'"),
        ({"payment_intent_id": "T2"}, "not PayPal's transaction id"),
        ({"customer_id": None}, "no customer"),
        ({"items": []}, "no items"),
        ({"items": [{"line_total_omr": "4.114"}]}, "items add up to 4.114"),
        ({"total_omr": "4.116"}, "the shop said 4.115"),
        ({"charge_amount": "10.71"}, "PayPal was asked for 10.70"),
    ],
)
def test_one_wrong_field_is_named(broken: dict[str, Any], told: str) -> None:
    verdict = verdicts.order(PURCHASE, ROW | broken)
    assert not verdict.passed and told in verdict.sentence


def test_an_acknowledged_payment_without_an_order_fails() -> None:
    verdict = verdicts.order(PURCHASE, None)
    assert not verdict.passed and "T1 was acknowledged" in verdict.sentence


def test_amounts_are_compared_as_decimals_not_as_texts() -> None:
    assert verdicts.order(PURCHASE, ROW | {"charge_amount": "10.7"}).passed


@pytest.mark.parametrize(
    ("found", "passed", "told"),
    [
        ({"alpha": "v2.0.0", "bravo": "v2.0.0"}, True, "2 edges serve v2.0.0"),
        ({"alpha": "v2.0.0", "bravo": "v1.0.0"}, False, "bravo serves v1.0.0"),
        ({"alpha": None}, False, "alpha serves nothing"),
        ({}, False, "no edge was asked"),
    ],
)
def test_every_edge_serves_the_release(found: dict[str, str | None], passed: bool, told: str) -> None:
    verdict = verdicts.version("v2.0.0", found)
    assert verdict.passed is passed and told in verdict.sentence


@pytest.mark.parametrize(
    ("found", "passed", "told"),
    [
        ({"alpha": 200}, True, "1 edges answer /up"),
        ({"alpha": 200, "bravo": 503}, False, "bravo answers 503"),
        ({"alpha": None}, False, "alpha answers nothing"),
        ({}, False, "no edge was asked"),
    ],
)
def test_every_edge_answers(found: dict[str, int | None], passed: bool, told: str) -> None:
    verdict = verdicts.answers("/up", found)
    assert verdict.passed is passed and told in verdict.sentence


def test_headers_ignore_case_and_name_what_is_missing() -> None:
    assert verdicts.headers({"x-frame-options": "DENY"}, ["X-Frame-Options"]).passed
    assert "Content-Security-Policy" in verdicts.headers({}, ["Content-Security-Policy"]).sentence

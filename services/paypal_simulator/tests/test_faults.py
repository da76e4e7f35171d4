"""What the shop must bear: declines, limits, failures, slow answers and lost ones."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from .conftest import Simulator, capture_of, issue, new_request_id, order_body, wait_for

ORDERS = "/v2/checkout/orders"
REFUSALS = {
    "decline": (422, "UNPROCESSABLE_ENTITY", "INSTRUMENT_DECLINED"),
    "rate_limit": (429, "RATE_LIMIT_REACHED", ""),
    "error": (500, "INTERNAL_SERVER_ERROR", ""),
    "unavailable": (503, "SERVICE_UNAVAILABLE", ""),
}
MOCKS = {
    "INSTRUMENT_DECLINED": REFUSALS["decline"],
    "RATE_LIMIT_REACHED": REFUSALS["rate_limit"],
    "INTERNAL_SERVER_ERROR": REFUSALS["error"],
    "INTERNAL_SERVICE_ERROR": REFUSALS["error"],
    "SERVICE_UNAVAILABLE": REFUSALS["unavailable"],
    "DUPLICATE_INVOICE_ID": (422, "UNPROCESSABLE_ENTITY", "DUPLICATE_INVOICE_ID"),
}


@pytest.fixture(autouse=True)
def no_fault_stays(paypal: Simulator) -> Any:
    yield
    assert paypal.client.delete("/_simulator/faults").json() == {"standing": []}


@pytest.mark.parametrize("code", MOCKS)
def test_a_mock_response_hits_its_request_alone(paypal: Simulator, code: str) -> None:
    order = paypal.approved()
    header = {"PayPal_Mock_Response": f'{{"mock_application_codes": "{code}"}}'}
    assert issue(paypal.capture(order, **header)) == MOCKS[code]
    assert paypal.capture(order).status_code == 201


@pytest.mark.parametrize("header", ["x", "{}", '{"mock_application_codes": 7}', '{"mock_application_codes": "<b>"}'])
def test_a_mock_response_is_checked(paypal: Simulator, header: str) -> None:
    answer = paypal.call("POST", ORDERS, order_body(), PayPal_Mock_Response=header)
    assert issue(answer) == (400, "INVALID_REQUEST", "MALFORMED_REQUEST_JSON")


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_standing_fault_hits_as_often_as_it_says(paypal: Simulator, kind: str) -> None:
    order = paypal.approved()
    paypal.fault(path=f"{order}/capture", kind=kind, count=2)
    assert issue(paypal.capture(order)) == REFUSALS[kind]
    assert paypal.order()["id"]
    assert issue(paypal.capture(order)) == REFUSALS[kind]
    assert paypal.client.get("/_simulator/faults").json() == {"standing": []}
    assert paypal.capture(order).status_code == 201


def test_faults_hit_the_token_road_too(paypal: Simulator) -> None:
    paypal.fault(path="/v1/oauth2/token", kind="unavailable")
    answer = paypal.client.post("/v1/oauth2/token", auth=("a", "b"), data={"grant_type": "client_credentials"})
    assert issue(answer) == REFUSALS["unavailable"]


def test_a_slow_answer_comes(paypal: Simulator) -> None:
    order = paypal.approved()
    paypal.fault(path=order, kind="slow", delay_s=0.4)
    began = time.monotonic()
    assert paypal.capture(order).status_code == 201
    assert 0.4 <= time.monotonic() - began < 3


def test_a_lost_answer_was_work_done(paypal: Simulator) -> None:
    """The case that loses money: PayPal captured, and nobody heard of it."""
    order, request_id = paypal.approved(), new_request_id()
    paypal.fault(path=order, kind="timeout", delay_s=0.2)
    with pytest.raises(httpx.RemoteProtocolError):
        paypal.capture(order, request_id)
    again = paypal.capture(order, request_id)
    assert again.status_code == 200
    told = [one["id"] for one in paypal.ledger()["captures"] if one["order_id"] == order]
    assert told == [capture_of(again)["id"]]


def test_a_client_that_gives_up_can_ask_again(paypal: Simulator) -> None:
    order, request_id = paypal.approved(), new_request_id()
    paypal.fault(path=order, kind="timeout", delay_s=20)
    timeout = httpx.Timeout(10, read=0.5)
    with httpx.Client(base_url=paypal.url, verify=paypal.keys.trust(), timeout=timeout) as impatient:
        headers = {"Authorization": f"Bearer {paypal.token}", "PayPal-Request-Id": request_id}
        with pytest.raises(httpx.ReadTimeout):
            impatient.post(f"{ORDERS}/{order}/capture", json={}, headers=headers)
    wait_for(lambda: any(one["order_id"] == order for one in paypal.ledger()["captures"]))
    began = time.monotonic()
    assert paypal.capture(order, request_id).status_code == 200
    assert time.monotonic() - began < 2


def test_what_is_done_is_not_declined_any_more(paypal: Simulator) -> None:
    order, request_id = paypal.approved(), new_request_id()
    first = paypal.capture(order, request_id)
    paypal.fault(path=order, kind="decline")
    again = paypal.capture(order, request_id)
    assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"kind": "explode"}, "kind"),
        ({}, "kind"),
        ({"kind": ["slow"]}, "kind"),
        ({"kind": "slow", "delay_s": 61}, "delay_s"),
        ({"kind": "slow", "delay_s": -1}, "delay_s"),
        ({"kind": "slow", "delay_s": "3"}, "delay_s"),
        ({"kind": "slow", "count": 0}, "count"),
        ({"kind": "slow", "count": 1.5}, "count"),
        ({"kind": "slow", "count": True}, "count"),
        ({"kind": "slow", "path": 3}, "path"),
        ({"kind": "slow", "dealy_s": 3}, "delay_s"),
        ([], "kind"),
    ],
)
def test_a_fault_is_checked(paypal: Simulator, body: Any, named: str) -> None:
    answer = paypal.client.post("/_simulator/faults", json=body)
    assert issue(answer) == (400, "INVALID_REQUEST", "INVALID_FAULT")
    assert named in answer.json()["details"][0]["description"]

"""Orders v2 and payments as PayPal's reference tells them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import Simulator, capture_of, issue, new_request_id, order_body

ORDERS = "/v2/checkout/orders"


def links(order: dict[str, Any]) -> dict[str, str]:
    return {link["rel"]: link["href"] for link in order["links"]}


def test_from_creation_to_capture(paypal: Simulator) -> None:
    order = paypal.order()
    assert (order["status"], order["intent"]) == ("PAYER_ACTION_REQUIRED", "CAPTURE")
    assert links(order)["payer-action"] == f"{paypal.url}/checkoutnow?token={order['id']}"
    paypal.approve(order["id"])
    shown = paypal.call("GET", f"{ORDERS}/{order['id']}").json()
    assert (shown["status"], len(shown["payer"]["payer_id"])) == ("APPROVED", 13)
    answer = paypal.capture(order["id"])
    capture = capture_of(answer)
    assert (answer.status_code, answer.json()["status"]) == (201, "COMPLETED")
    assert capture["amount"] == {"currency_code": "USD", "value": "32.10"}
    assert (capture["status"], capture["custom_id"]) == ("COMPLETED", "attempt-1")
    assert capture["supplementary_data"]["related_ids"]["order_id"] == order["id"]
    assert paypal.call("GET", f"/v2/payments/captures/{capture['id']}").json() == capture
    assert "_urls" not in shown


def test_without_the_wish_for_all_a_new_order_is_short(paypal: Simulator) -> None:
    answer = paypal.call("POST", ORDERS, order_body())
    assert set(answer.json()) == {"id", "status", "links"}


def test_without_a_payment_source_the_link_is_called_approve(paypal: Simulator) -> None:
    body = order_body()
    body["application_context"] = body.pop("payment_source")["paypal"]["experience_context"]
    order = paypal.call("POST", ORDERS, body).json()
    assert order["status"] == "CREATED"
    assert "approve" in links(order)


AMOUNTS = [
    (order_body("32.10", "OMR"), 422, "UNPROCESSABLE_ENTITY", "CURRENCY_NOT_SUPPORTED"),
    (order_body("32.10", "US"), 400, "INVALID_REQUEST", "INVALID_STRING_LENGTH"),
    (order_body("12.345"), 422, "UNPROCESSABLE_ENTITY", "DECIMAL_PRECISION"),
    (order_body("120.5", "JPY"), 422, "UNPROCESSABLE_ENTITY", "DECIMALS_NOT_SUPPORTED"),
    (order_body("0.00"), 422, "UNPROCESSABLE_ENTITY", "CANNOT_BE_ZERO_OR_NEGATIVE"),
    (order_body("-1.00"), 422, "UNPROCESSABLE_ENTITY", "CANNOT_BE_ZERO_OR_NEGATIVE"),
    (order_body("99999999.00"), 422, "UNPROCESSABLE_ENTITY", "MAX_VALUE_EXCEEDED"),
    *[
        (order_body(value), 400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX")
        for value in ("1,00", "1e3", "", "NaN", " 1.00", "1.00\n", "\u0661.00", 32.1, None)
    ],
]


@pytest.mark.parametrize(("body", "status", "name", "what"), AMOUNTS)
def test_amounts_are_checked(paypal: Simulator, body: Any, status: int, name: str, what: str) -> None:
    answer = paypal.call("POST", ORDERS, body)
    assert issue(answer) == (status, name, what)
    assert answer.json()["details"][0]["field"].startswith("/purchase_units/@reference_id=='default'/amount")


def changed(**parts: Any) -> dict[str, Any]:
    return {name: value for name, value in (order_body() | parts).items() if value is not ...}


def unit(**parts: Any) -> list[dict[str, Any]]:
    return [order_body()["purchase_units"][0] | parts]


def experience(**parts: Any) -> dict[str, Any]:
    return {"paypal": {"experience_context": parts}}


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (changed(intent=...), "MISSING_REQUIRED_PARAMETER"),
        (changed(intent="AUTHORIZE"), "INVALID_PARAMETER_VALUE"),
        (changed(purchase_units=...), "MISSING_REQUIRED_PARAMETER"),
        (changed(purchase_units=[]), "INVALID_ARRAY_MIN_ITEMS"),
        (changed(purchase_units=[1]), "INVALID_ARRAY_MIN_ITEMS"),
        (changed(purchase_units=[{}]), "MISSING_REQUIRED_PARAMETER"),
        (changed(purchase_units=unit(amount={"value": "1.00"})), "MISSING_REQUIRED_PARAMETER"),
        (changed(purchase_units=unit(custom_id="x" * 256)), "INVALID_STRING_LENGTH"),
        (changed(payment_source="paypal"), "INVALID_PARAMETER_SYNTAX"),
        (changed(payment_source={"paypal": []}), "INVALID_PARAMETER_SYNTAX"),
        (changed(payment_source=experience(return_url="javascript:alert(1)")), "INVALID_PARAMETER_SYNTAX"),
        (changed(payment_source=experience(cancel_url=7)), "INVALID_PARAMETER_SYNTAX"),
        ([1], "MALFORMED_REQUEST_JSON"),
    ],
)
def test_requests_are_checked(paypal: Simulator, body: Any, what: str) -> None:
    assert issue(paypal.call("POST", ORDERS, body)) == (400, "INVALID_REQUEST", what)


def test_a_breakdown_adds_up(paypal: Simulator) -> None:
    def money(value: str) -> dict[str, str]:
        return {"currency_code": "USD", "value": value}

    def create(discount: str) -> Any:
        breakdown = {"item_total": money("30.00"), "shipping": money("3.10"), "discount": money(discount)}
        amount = money("32.10") | {"breakdown": breakdown}
        return paypal.call("POST", ORDERS, changed(purchase_units=unit(amount=amount)))

    assert create("1.00").status_code == 201
    assert issue(create("0.00")) == (422, "UNPROCESSABLE_ENTITY", "AMOUNT_MISMATCH")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 20_000])
def test_bad_json_is_the_clients_fault(paypal: Simulator, content: bytes) -> None:
    headers = {"Authorization": f"Bearer {paypal.login()}", "Content-Type": "application/json"}
    answer = paypal.client.post(ORDERS, content=content, headers=headers)
    assert issue(answer) == (400, "INVALID_REQUEST", "MALFORMED_REQUEST_JSON")


def test_other_media_types_paths_and_methods(paypal: Simulator) -> None:
    headers = {"Authorization": f"Bearer {paypal.login()}"}
    form = paypal.client.post(ORDERS, data={"intent": "CAPTURE"}, headers=headers)
    assert issue(form) == (415, "UNSUPPORTED_MEDIA_TYPE", "")
    assert issue(paypal.call("GET", "/v2/nothing")) == (404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
    assert paypal.call("DELETE", ORDERS).status_code == 405


@pytest.mark.parametrize("path", [f"{ORDERS}/X", "/v2/payments/captures/X", "/v2/payments/refunds/X"])
def test_unknown_ids(paypal: Simulator, path: str) -> None:
    assert issue(paypal.call("GET", path)) == (404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")


def test_capture_waits_for_the_buyer_and_happens_once(paypal: Simulator) -> None:
    order = paypal.order()["id"]
    assert issue(paypal.capture(order)) == (422, "UNPROCESSABLE_ENTITY", "ORDER_NOT_APPROVED")
    paypal.approve(order)
    assert paypal.capture(order).status_code == 201
    assert issue(paypal.capture(order)) == (422, "UNPROCESSABLE_ENTITY", "ORDER_ALREADY_CAPTURED")
    again = paypal.client.post("/_simulator/approve", json={"order_id": order})
    assert issue(again) == (422, "UNPROCESSABLE_ENTITY", "ORDER_ALREADY_CAPTURED")
    assert [one["order_id"] for one in paypal.ledger()["captures"]].count(order) == 1


def test_a_request_id_creates_and_captures_once(paypal: Simulator) -> None:
    creating, capturing = new_request_id(), new_request_id()
    first = paypal.call("POST", ORDERS, order_body(), creating, Prefer="return=representation")
    assert first.status_code == 201
    order = first.json()["id"]
    paypal.approve(order)
    again = paypal.call("POST", ORDERS, order_body(), creating, Prefer="return=representation")
    # The latest state of what the first request made.
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, order, "APPROVED")
    one, two = paypal.capture(order, capturing), paypal.capture(order, capturing)
    assert (one.status_code, two.status_code) == (201, 200)
    assert one.json() == two.json()
    assert issue(paypal.capture(order, new_request_id()))[2] == "ORDER_ALREADY_CAPTURED"


def test_a_refused_request_id_may_come_again(paypal: Simulator) -> None:
    order, request_id = paypal.order()["id"], new_request_id()
    assert issue(paypal.capture(order, request_id))[2] == "ORDER_NOT_APPROVED"
    paypal.approve(order)
    assert paypal.capture(order, request_id).status_code == 201


def test_the_same_request_id_at_the_same_time(paypal: Simulator) -> None:
    creating = new_request_id()
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda _: paypal.call("POST", ORDERS, order_body(), creating), range(16)))
    assert len({answer.json()["id"] for answer in created}) == 1
    assert sorted(answer.status_code for answer in created) == [200] * 15 + [201]
    order = created[0].json()["id"]
    paypal.approve(order)
    with ThreadPoolExecutor(8) as pool:
        captured = list(pool.map(lambda _: paypal.capture(order, creating), range(16)))
    assert len({capture_of(answer)["id"] for answer in captured}) == 1
    assert [one["order_id"] for one in paypal.ledger()["captures"]].count(order) == 1


def test_a_request_id_has_a_length(paypal: Simulator) -> None:
    assert issue(paypal.call("POST", ORDERS, order_body(), "x" * 109))[2] == "INVALID_STRING_LENGTH"


def refund(
    paypal: Simulator, capture: str, value: str | None = None, request_id: str = "", currency: str = "USD"
) -> Any:
    body = {} if value is None else {"amount": {"currency_code": currency, "value": value}}
    return paypal.call("POST", f"/v2/payments/captures/{capture}/refund", body, request_id)


def test_refunds_in_parts_up_to_the_whole(paypal: Simulator) -> None:
    order, capture = paypal.paid()
    part, request_id = refund(paypal, capture["id"], "2.10"), new_request_id()
    assert (part.status_code, part.json()["status"]) == (201, "COMPLETED")
    assert paypal.call("GET", f"/v2/payments/captures/{capture['id']}").json()["status"] == "PARTIALLY_REFUNDED"
    assert issue(refund(paypal, capture["id"], "30.01"))[2] == "REFUND_AMOUNT_EXCEEDED"
    assert issue(refund(paypal, capture["id"], "1.00", currency="EUR"))[2] == "CURRENCY_MISMATCH"
    assert issue(refund(paypal, capture["id"], "0.00"))[2] == "CANNOT_BE_ZERO_OR_NEGATIVE"
    rest, again = refund(paypal, capture["id"], None, request_id), refund(paypal, capture["id"], None, request_id)
    assert (rest.status_code, again.status_code) == (201, 200)
    assert rest.json() == again.json()
    assert rest.json()["amount"] == {"currency_code": "USD", "value": "30.00"}
    assert issue(refund(paypal, capture["id"], "0.01"))[2] == "CAPTURE_FULLY_REFUNDED"
    shown = paypal.call("GET", f"{ORDERS}/{order}")
    assert capture_of(shown)["status"] == "REFUNDED"
    assert paypal.call("GET", f"/v2/payments/refunds/{rest.json()['id']}").json() == rest.json()
    told = [one for one in paypal.ledger()["refunds"] if one["capture_id"] == capture["id"]]
    assert [one["amount"]["value"] for one in told] == ["2.10", "30.00"]


@pytest.mark.parametrize("body", [[], "x", {"amount": "2.10"}, {"amount": {}}])
def test_a_bad_refund_is_the_clients_fault(paypal: Simulator, body: Any) -> None:
    _, capture = paypal.paid()
    answer = paypal.call("POST", f"/v2/payments/captures/{capture['id']}/refund", body)
    assert (answer.status_code, answer.json()["name"]) == (400, "INVALID_REQUEST")

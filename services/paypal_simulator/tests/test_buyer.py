"""The buyer's page in a redirect flow."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from .conftest import Simulator, issue, order_body

PAGE = "/checkoutnow"


def choose(paypal: Simulator, order: str, choice: str) -> tuple[int, str]:
    answer = paypal.client.post(PAGE, data={"token": order, "choice": choice})
    return answer.status_code, answer.headers.get("location", "")


def status(paypal: Simulator, order: str) -> str:
    return str(paypal.call("GET", f"/v2/checkout/orders/{order}").json()["status"])


def test_the_page_shows_the_amount_and_two_buttons(paypal: Simulator) -> None:
    order = paypal.order()["id"]
    page = paypal.client.get(PAGE, params={"token": order})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    for part in ("32.10 USD", 'data-testid="approve"', 'data-testid="cancel"', f'value="{order}"'):
        assert part in page.text


def test_approval_leads_back_to_the_shop(paypal: Simulator) -> None:
    order = paypal.order()["id"]
    code, location = choose(paypal, order, "approve")
    there = urlsplit(location)
    assert (code, there.netloc, there.path) == (303, "shop.example", "/en/success")
    query = parse_qs(there.query)
    assert (query["a"], query["token"], len(query["PayerID"][0])) == (["1"], [order], 13)
    assert status(paypal, order) == "APPROVED"
    # The browser's back button, and once more.
    assert choose(paypal, order, "approve") == (303, location)


def test_cancelling_leads_back_and_pays_nothing(paypal: Simulator) -> None:
    order = paypal.order()["id"]
    assert choose(paypal, order, "cancel") == (303, f"https://shop.example/en/cancel?token={order}")
    assert status(paypal, order) == "PAYER_ACTION_REQUIRED"
    assert issue(paypal.capture(order))[2] == "ORDER_NOT_APPROVED"


def test_a_paid_order_can_not_be_approved_again(paypal: Simulator) -> None:
    order, _ = paypal.paid()
    assert "is done" in paypal.client.get(PAGE, params={"token": order}).text
    assert choose(paypal, order, "approve") == (409, "")


def test_without_addresses_the_page_tells_what_happened(paypal: Simulator) -> None:
    body = order_body()
    del body["payment_source"]
    order = paypal.call("POST", "/v2/checkout/orders", body).json()["id"]
    answer = paypal.client.post(PAGE, data={"token": order, "choice": "approve"})
    assert (answer.status_code, "You approved" in answer.text) == (200, True)


def test_unknown_orders(paypal: Simulator) -> None:
    evil = "<script>alert(1)</script>"
    page = paypal.client.get(PAGE, params={"token": evil})
    assert (page.status_code, evil in page.text) == (404, False)
    assert choose(paypal, evil, "approve") == (404, "")
    assert paypal.client.post("/_simulator/approve", json={"order_id": "NONE"}).status_code == 404
    for body in ({}, [], {"order_id": 7}):
        assert issue(paypal.client.post("/_simulator/approve", json=body))[2] == "MISSING_REQUIRED_PARAMETER"

"""Orders v2 and payments: pure changes of documents, as PayPal's state machine allows them."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from paypal_simulator import money
from paypal_simulator.errors import invalid, unprocessable

Document = dict[str, Any]
KEPT_OF_UNIT = {"reference_id": 256, "custom_id": 255, "invoice_id": 127, "description": 127}
UNIT = "/purchase_units/@reference_id=='default'"


def new_id() -> str:
    """17 characters, as PayPal's ids are."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(17))


def now() -> str:
    """PayPal's time format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _object(holder: Document, name: str, field: str) -> Document:
    found = holder.get(name)
    if found is not None and not isinstance(found, dict):
        raise invalid("INVALID_PARAMETER_SYNTAX", f"{field}/{name}", "An object.")
    return found or {}


def _urls(request: Document) -> Document:
    """Where the buyer goes afterwards: the new place in the request wins over the old one."""
    paypal = _object(_object(request, "payment_source", ""), "paypal", "/payment_source")
    found = {
        **_object(request, "application_context", ""),
        **_object(paypal, "experience_context", "/payment_source/paypal"),
    }
    urls = {name: found.get(name, "") for name in ("return_url", "cancel_url")}
    for name, url in urls.items():
        # PayPal sends a browser there: nothing but a web address.
        if url and (not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https")):
            raise invalid("INVALID_PARAMETER_SYNTAX", f"/payment_source/paypal/experience_context/{name}", "A URL.")
    return urls


def _unit(request: Document) -> Document:
    units = request.get("purchase_units")
    if not isinstance(units, list):
        raise invalid("MISSING_REQUIRED_PARAMETER", "/purchase_units", "A required field is missing.")
    if len(units) != 1 or not isinstance(units[0], dict):
        issue = "INVALID_ARRAY_MAX_ITEMS" if len(units) > 1 else "INVALID_ARRAY_MIN_ITEMS"
        raise invalid(issue, "/purchase_units", "One purchase unit is simulated.")
    asked = units[0]
    unit: Document = {"reference_id": "default"}
    for name, longest in KEPT_OF_UNIT.items():
        if name in asked:
            if not isinstance(asked[name], str) or not 1 <= len(asked[name]) <= longest:
                raise invalid("INVALID_STRING_LENGTH", f"{UNIT}/{name}", f"1 to {longest} characters.")
            unit[name] = asked[name]
    return {**unit, "amount": money.checked_total(asked.get("amount"), f"{UNIT}/amount")}


def created(request: Any, public_url: str) -> Document:
    """A new order from a request body; raises PayPal's error with the field at fault."""
    if not isinstance(request, dict):
        raise invalid("MALFORMED_REQUEST_JSON", "/", "The request body is not an object.")
    if "intent" not in request:
        raise invalid("MISSING_REQUIRED_PARAMETER", "/intent", "A required field is missing.")
    if request["intent"] != "CAPTURE":
        raise invalid("INVALID_PARAMETER_VALUE", "/intent", "Only CAPTURE is simulated.")
    unit, urls, order = _unit(request), _urls(request), new_id()
    # With a payment source PayPal names the state and the link by what the payer has to do.
    payer_acts = bool(request.get("payment_source"))
    status, approve = ("PAYER_ACTION_REQUIRED", "payer-action") if payer_acts else ("CREATED", "approve")
    links = {
        "self": ("GET", f"{public_url}/v2/checkout/orders/{order}"),
        approve: ("GET", f"{public_url}/checkoutnow?token={order}"),
        "capture": ("POST", f"{public_url}/v2/checkout/orders/{order}/capture"),
    }
    return {
        "id": order,
        "intent": "CAPTURE",
        "status": status,
        "create_time": now(),
        "purchase_units": [unit],
        "links": [{"href": href, "rel": rel, "method": method} for rel, (method, href) in links.items()],
        "_urls": urls,
    }


def approved(order: Document) -> Document:
    """The order after a buyer's yes."""
    if order["status"] == "COMPLETED":
        raise unprocessable("ORDER_ALREADY_CAPTURED", "Order already captured.")
    payer = {
        "payer_id": new_id()[:13],
        "email_address": "buyer@example.com",
        "name": {"given_name": "Test", "surname": "Buyer"},
    }
    return {**order, "status": "APPROVED", "update_time": now(), "payer": order.get("payer", payer)}


def captured(order: Document) -> tuple[Document, Document]:
    """The order after its capture, and the capture."""
    if order["status"] == "COMPLETED":
        told = "Order already captured. If 'intent=CAPTURE' only one capture per order is allowed."
        raise unprocessable("ORDER_ALREADY_CAPTURED", told)
    if order["status"] != "APPROVED":
        raise unprocessable("ORDER_NOT_APPROVED", "Payer has not yet approved the Order for payment.")
    unit = order["purchase_units"][0]
    at = now()
    capture = {
        "id": new_id(),
        "status": "COMPLETED",
        "amount": {name: unit["amount"][name] for name in ("currency_code", "value")},
        "final_capture": True,
        "create_time": at,
        "update_time": at,
        "supplementary_data": {"related_ids": {"order_id": order["id"]}},
        **{name: unit[name] for name in ("custom_id", "invoice_id") if name in unit},
    }
    paid = {**unit, "payments": {"captures": [capture]}}
    return {**order, "status": "COMPLETED", "update_time": at, "purchase_units": [paid]}, capture


def with_capture(order: Document, capture: Document) -> Document:
    """The order that shows this state of its capture."""
    unit = {**order["purchase_units"][0], "payments": {"captures": [capture]}}
    return {**order, "purchase_units": [unit]}


def refunded(capture: Document, request: Any, before: list[Document], public_url: str) -> tuple[Document, Document]:
    """The capture after a refund, and the refund; without an amount all that is left is refunded."""
    if request is not None and not isinstance(request, dict):
        raise invalid("MALFORMED_REQUEST_JSON", "/", "The request body is not an object.")
    currency = capture["amount"]["currency_code"]
    rest = Decimal(capture["amount"]["value"]) - sum(Decimal(one["amount"]["value"]) for one in before)
    if not rest:
        raise unprocessable("CAPTURE_FULLY_REFUNDED", "The capture has already been fully refunded.")
    asked = (request or {}).get("amount")
    amount = money.checked(asked, "/amount") if asked is not None else {"currency_code": currency, "value": str(rest)}
    if amount["currency_code"] != currency:
        raise unprocessable("CURRENCY_MISMATCH", "A refund is in the currency of its capture.", "/amount/currency_code")
    if Decimal(amount["value"]) > rest:
        raise unprocessable("REFUND_AMOUNT_EXCEEDED", "More than what is left of the capture.", "/amount/value")
    refund = {
        "id": new_id(),
        "status": "COMPLETED",
        "amount": amount,
        "create_time": now(),
        "links": [{"href": f"{public_url}/v2/payments/captures/{capture['id']}", "rel": "up", "method": "GET"}],
        "_capture_id": capture["id"],
    }
    status = "PARTIALLY_REFUNDED" if rest > Decimal(amount["value"]) else "REFUNDED"
    return {**capture, "status": status, "update_time": now()}, refund


def public(document: Document) -> Document:
    """Without what only the simulator knows."""
    return {name: value for name, value in document.items() if not name.startswith("_")}

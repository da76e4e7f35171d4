"""Orders v2 and payments: pure changes of documents, as PayPal's state machine allows them."""

from __future__ import annotations

import re
import secrets
import string
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from paypal_simulator.errors import invalid, unprocessable

# Currencies PayPal settles in, with their decimals (developer.paypal.com, currency codes). OMR is not one.
DECIMALS = {
    **dict.fromkeys(
        [
            "AUD",
            "BRL",
            "CAD",
            "CNY",
            "CZK",
            "DKK",
            "EUR",
            "HKD",
            "ILS",
            "MYR",
            "MXN",
            "NZD",
            "NOK",
            "PHP",
            "PLN",
            "GBP",
            "SGD",
            "SEK",
            "CHF",
            "THB",
            "USD",
        ],
        2,
    ),
    **dict.fromkeys(["HUF", "JPY", "TWD"], 0),
}
LARGEST_AMOUNT = Decimal("999999.99")
Document = dict[str, Any]


def new_id() -> str:
    """17 characters, as PayPal's ids are."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(17))


def now() -> str:
    """PayPal's time format."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017 - runs on Debian's Python too


def check_amount(amount: Any, field: str) -> Document:
    """A valid amount; raises PayPal's error with the field at fault."""
    if not isinstance(amount, dict):
        raise invalid("MISSING_REQUIRED_PARAMETER", field)
    currency, value = amount.get("currency_code"), amount.get("value")
    if not isinstance(currency, str) or not re.fullmatch(r"[A-Z]{3}", currency):
        raise invalid("INVALID_STRING_LENGTH", f"{field}/currency_code")
    if currency not in DECIMALS:
        raise unprocessable(
            "CURRENCY_NOT_SUPPORTED", f"Currency code {currency} is not currently supported.", f"{field}/currency_code"
        )
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,10}(\.\d+)?", value):
        raise invalid("INVALID_PARAMETER_SYNTAX", f"{field}/value")
    if len(value.partition(".")[2]) > DECIMALS[currency]:
        raise unprocessable("DECIMAL_PRECISION", "More decimals than the currency has.", f"{field}/value")
    if Decimal(value) <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", "Must be greater than zero.", f"{field}/value")
    if Decimal(value) > LARGEST_AMOUNT:
        raise unprocessable("MAX_VALUE_EXCEEDED", "Larger than the currency allows.", f"{field}/value")
    return {"currency_code": currency, "value": value}


def created(request: Any, public_url: str) -> Document:
    """A new order from a request body."""
    if not isinstance(request, dict):
        raise invalid("MALFORMED_REQUEST_JSON", "/")
    if request.get("intent") != "CAPTURE":
        raise invalid("INVALID_PARAMETER_VALUE", "/intent", "Only CAPTURE is simulated.")
    units = request.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise invalid("INVALID_ARRAY_MIN_ITEMS", "/purchase_units", "One purchase unit is simulated.")
    amount = check_amount(units[0].get("amount"), "/purchase_units/@reference_id=='default'/amount")
    context = request.get("application_context") or (
        ((request.get("payment_source") or {}).get("paypal") or {}).get("experience_context")
    )
    order = new_id()
    unit = {
        "reference_id": "default",
        **{k: v for k, v in units[0].items() if k in ("reference_id", "custom_id", "invoice_id", "description")},
    }
    return {
        "id": order,
        "intent": "CAPTURE",
        "status": "PAYER_ACTION_REQUIRED" if request.get("payment_source") else "CREATED",
        "create_time": now(),
        "purchase_units": [{**unit, "amount": amount}],
        "links": [
            {"href": f"{public_url}/v2/checkout/orders/{order}", "rel": "self", "method": "GET"},
            {
                "href": f"{public_url}/checkoutnow?token={order}",
                "rel": "payer-action" if request.get("payment_source") else "approve",
                "method": "GET",
            },
            {"href": f"{public_url}/v2/checkout/orders/{order}/capture", "rel": "capture", "method": "POST"},
        ],
        "_urls": {name: (context or {}).get(name, "") for name in ("return_url", "cancel_url")},
    }


def approved(order: Document) -> Document:
    """The order after a buyer's yes."""
    if order["status"] not in ("CREATED", "PAYER_ACTION_REQUIRED", "APPROVED"):
        raise unprocessable("ORDER_ALREADY_CAPTURED", "Order already captured.")
    payer = {
        "payer_id": new_id()[:13],
        "email_address": "buyer@example.com",
        "name": {"given_name": "Test", "surname": "Buyer"},
    }
    return {**order, "status": "APPROVED", "payer": order.get("payer", payer)}


def captured(order: Document) -> tuple[Document, Document]:
    """The order after its capture, and the capture."""
    if order["status"] == "COMPLETED":
        raise unprocessable(
            "ORDER_ALREADY_CAPTURED",
            "Order already captured. If 'intent=CAPTURE' only one capture per order is allowed.",
        )
    if order["status"] != "APPROVED":
        raise unprocessable("ORDER_NOT_APPROVED", "Payer has not yet approved the Order for payment.")
    unit = order["purchase_units"][0]
    capture = {
        "id": new_id(),
        "status": "COMPLETED",
        "amount": unit["amount"],
        "final_capture": True,
        "create_time": now(),
        "update_time": now(),
        "supplementary_data": {"related_ids": {"order_id": order["id"]}},
        **({"custom_id": unit["custom_id"]} if "custom_id" in unit else {}),
    }
    paid = {**unit, "payments": {"captures": [capture]}}
    return {**order, "status": "COMPLETED", "purchase_units": [paid]}, capture


def refunded(capture: Document, request: Any, before: list[Document]) -> tuple[Document, Document]:
    """The capture after a refund, and the refund."""
    whole = Decimal(capture["amount"]["value"])
    given = sum((Decimal(one["amount"]["value"]) for one in before), Decimal(0))
    asked = (request or {}).get("amount")
    amount = check_amount(asked, "/amount") if asked else {**capture["amount"], "value": str(whole - given)}
    if Decimal(amount["value"]) + given > whole or Decimal(amount["value"]) <= 0:
        raise unprocessable(
            "REFUND_AMOUNT_EXCEEDED" if given < whole else "CAPTURE_FULLY_REFUNDED", "Nothing is left to refund."
        )
    rest = whole - given - Decimal(amount["value"])
    refund = {
        "id": new_id(),
        "status": "COMPLETED",
        "amount": amount,
        "create_time": now(),
        "capture_id": capture["id"],
    }
    return {**capture, "status": "PARTIALLY_REFUNDED" if rest else "REFUNDED"}, refund


def public(document: Document) -> Document:
    """Without what only the simulator knows."""
    return {name: value for name, value in document.items() if not name.startswith("_")}

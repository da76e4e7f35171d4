"""Amounts as PayPal takes them: exact decimals in texts, only in currencies that it settles in."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from paypal_simulator.errors import invalid, unprocessable

# developer.paypal.com, currency codes. OMR is not one of them.
# fmt: off
TWO_DECIMALS = (
    "AUD", "BRL", "CAD", "CNY", "CZK", "DKK", "EUR", "HKD", "ILS", "MYR", "MXN",
    "NZD", "NOK", "PHP", "PLN", "GBP", "SGD", "SEK", "CHF", "THB", "USD",
)
# fmt: on
NO_DECIMALS = ("HUF", "JPY", "TWD")
DECIMALS = {**dict.fromkeys(TWO_DECIMALS, 2), **dict.fromkeys(NO_DECIMALS, 0)}
LARGEST_AMOUNT = Decimal("9999999.99")
ADDED = ("item_total", "shipping", "handling", "tax_total", "insurance")
TAKEN_OFF = ("shipping_discount", "discount")
CODES_PAGE = "Please refer to https://developer.paypal.com/api/rest/reference/currency-codes/"


def checked(amount: Any, field: str, zero_allowed: bool = False) -> dict[str, Any]:
    """The amount; raises PayPal's error with the field at fault."""
    if not isinstance(amount, dict):
        raise invalid("MISSING_REQUIRED_PARAMETER", field, "A required field is missing.")
    for name in ("currency_code", "value"):
        if name not in amount:
            raise invalid("MISSING_REQUIRED_PARAMETER", f"{field}/{name}", "A required field is missing.")
    currency, value = amount["currency_code"], amount["value"]
    if not isinstance(currency, str) or len(currency) != 3:
        raise invalid("INVALID_STRING_LENGTH", f"{field}/currency_code", "A currency code has 3 characters.")
    if currency not in DECIMALS:
        told = f"Currency code {currency} is not currently supported. {CODES_PAGE}"
        raise unprocessable("CURRENCY_NOT_SUPPORTED", told, f"{field}/currency_code")
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,16}(\.[0-9]{1,16})?", value):
        raise invalid("INVALID_PARAMETER_SYNTAX", f"{field}/value", "A decimal number in a text.")
    if len(value.partition(".")[2]) > DECIMALS[currency]:
        if DECIMALS[currency] == 0:
            raise unprocessable("DECIMALS_NOT_SUPPORTED", f"Currency does not support decimals. {CODES_PAGE}", field)
        raise unprocessable("DECIMAL_PRECISION", "The value has more decimals than its currency.", f"{field}/value")
    if Decimal(value) < 0 or (Decimal(value) == 0 and not zero_allowed):
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", "Must be greater than zero.", f"{field}/value")
    if Decimal(value) > LARGEST_AMOUNT:
        raise unprocessable("MAX_VALUE_EXCEEDED", "Larger than the currency allows.", f"{field}/value")
    return {"currency_code": currency, "value": value}


def checked_total(amount: Any, field: str) -> dict[str, Any]:
    """An order's amount; its breakdown, where there is one, must add up to it."""
    total = checked(amount, field)
    breakdown = amount.get("breakdown")
    if breakdown is None:
        return total
    if not isinstance(breakdown, dict):
        raise invalid("INVALID_PARAMETER_SYNTAX", f"{field}/breakdown", "An object.")
    known = [name for name in (*ADDED, *TAKEN_OFF) if name in breakdown]
    parts = {name: checked(breakdown[name], f"{field}/breakdown/{name}", zero_allowed=True) for name in known}
    if any(part["currency_code"] != total["currency_code"] for part in parts.values()):
        raise unprocessable("CURRENCY_MISMATCH", "One currency for all parts of an amount.", f"{field}/breakdown")
    sums = Decimal(sum(Decimal(part["value"]) * (-1 if name in TAKEN_OFF else 1) for name, part in parts.items()))
    if sums != Decimal(total["value"]):
        raise unprocessable("AMOUNT_MISMATCH", "The breakdown does not add up to the amount.", f"{field}/value")
    return {**total, "breakdown": parts}

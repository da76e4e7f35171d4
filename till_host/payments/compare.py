"""Payments as the shop keeps them against PayPal's side of them: each is there once, with the same sum. Pure.

An attempt is a row of payment_attempts, an order one of orders; a capture is PayPal's: {"id", "status", "amount"}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

# A capture that took money, and what an order that knows of it says.
PAID = {"COMPLETED": "completed", "PARTIALLY_REFUNDED": "partially_refunded", "REFUNDED": "refunded"}
# What an attempt says that ended well.
COMPLETED = "completed"

Row = Mapping[str, Any]


def faults(
    attempts: Iterable[Row], orders: Iterable[Row], captures: Mapping[str, Sequence[Row]]
) -> dict[str, list[str]]:
    """By PayPal's order a sentence for each thing that both sides tell differently; `captures` by PayPal's order."""
    of: dict[str, list[Row]] = {}
    for order in orders:
        of.setdefault(str(order["paypal_order_id"]), []).append(order)
    told = {}
    for attempt in attempts:
        name = str(attempt["paypal_order_id"])
        taken = [one for one in captures.get(name, []) if one["status"] in PAID]
        if found := _of_one(attempt, of.get(name, []), taken):
            told[name] = found
    return told


def _of_one(attempt: Row, orders: list[Row], taken: list[Row]) -> list[str]:
    if len(taken) > 1:
        return [f"charged {len(taken)} times"]
    if len(orders) > 1:
        return [f"it has {len(orders)} orders"]
    if taken and not orders:
        return ["it was charged, and there is no order"]
    if orders and not taken:
        return ["there is an order, and nothing was charged"]
    if attempt["status"] == COMPLETED and not orders:
        return ["it is noted as paid, and there is neither an order nor a charge"]
    return _differences(attempt, orders[0], taken[0]) if orders else []


def _differences(attempt: Row, order: Row, capture: Row) -> list[str]:
    amount = capture["amount"]
    charged = (str(amount["currency_code"]), _sum(amount["value"]))
    found = []
    if str(order["payment_intent_id"]) != str(capture["id"]):
        found.append("the order names another transaction than PayPal")
    for who, row in (("order", order), ("attempt", attempt)):
        if (str(row["charge_currency"]), _sum(row["charge_amount"])) != charged:
            kept = f"{row['charge_amount']} {row['charge_currency']}"
            found.append(f"the {who} says {kept}, PayPal charged {amount['value']} {amount['currency_code']}")
    if order["payment_status"] not in PAID.values():
        found.append(f"it was charged, and the order is {order['payment_status']}")
    return found


def _sum(value: object) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None

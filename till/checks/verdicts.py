"""Gates: a check with a verdict and a sentence. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from till.verdict import Verdict


def version(expected: str, found: dict[str, str | None]) -> Verdict:
    """Every edge must serve the expected release; None is an edge that did not answer."""
    wrong = {edge: served for edge, served in sorted(found.items()) if served != expected}
    if not found:
        return Verdict("version", False, "no edge was asked")
    if wrong:
        told = ", ".join(f"{edge} serves {served or 'nothing'}" for edge, served in wrong.items())
        return Verdict("version", False, f"{expected} should be served, but {told}")
    return Verdict("version", True, f"{len(found)} edges serve {expected}")


def answers(path: str, found: dict[str, int | None]) -> Verdict:
    """Every edge must answer a path with 200; None is an edge that did not answer."""
    wrong = {edge: status for edge, status in sorted(found.items()) if status != 200}
    if not found:
        return Verdict("answers", False, "no edge was asked")
    if wrong:
        told = ", ".join(f"{edge} answers {status or 'nothing'}" for edge, status in wrong.items())
        return Verdict("answers", False, f"GET {path} should answer 200, but {told}")
    return Verdict("answers", True, f"{len(found)} edges answer {path}")


def order(purchase: dict[str, Any], row: dict[str, Any] | None) -> Verdict:
    """The order in Directus must be the purchase: paid, linked, itemised, with totals that add up exactly."""
    if row is None:
        return Verdict(
            "order",
            False,
            f"transaction {purchase['transaction_id']} was acknowledged, but Directus has no order of it",
        )
    faults: list[str] = []
    if row["payment_status"] != "completed":
        faults.append(f"payment_status is {row['payment_status']!r}, not 'completed'")
    if row["payment_intent_id"] != purchase["transaction_id"]:
        faults.append("payment_intent_id is not PayPal's transaction id")
    if not row.get("customer_id"):
        faults.append("no customer is linked")
    items = row.get("items") or []
    if not items:
        faults.append("it has no items")
    total = sum((Decimal(item["line_total_omr"]) for item in items), Decimal(0))
    for name, value in (("items add up to", total), ("the shop said", Decimal(purchase["total_omr"]))):
        if value != Decimal(row["total_omr"]):
            faults.append(f"total_omr is {row['total_omr']}, but {name} {value}")
    if Decimal(row["charge_amount"]) != Decimal(purchase["charge"]["amount"]):
        faults.append(
            f"charge_amount is {row['charge_amount']}, but PayPal was asked for {purchase['charge']['amount']}"
        )
    if faults:
        return Verdict("order", False, f"order {row['id']}: " + "; ".join(faults))
    return Verdict("order", True, f"order {row['id']} is paid, linked, itemised and adds up")


def headers(found: dict[str, str], wanted: list[str]) -> Verdict:
    """Security headers that an answer must carry (names are case-insensitive)."""
    present = {name.lower() for name in found}
    missing = [name for name in wanted if name.lower() not in present]
    if missing:
        return Verdict("headers", False, f"missing: {', '.join(missing)}")
    return Verdict("headers", True, f"all {len(wanted)} security headers are set")

"""Every acknowledged payment is there exactly once: in the database's rows, and in PayPal's ledger. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from till_host.payments.buyer import Purchase


def compare(purchases: list[Purchase], rows: list[tuple[str, str]], captures: list[tuple[str, str]]) -> dict[str, Any]:
    """What is lost or there twice.

    `rows`: (transaction, PayPal order) of each order in the database; `captures`: the same of each capture in PayPal's
    ledger. A payment is lost when the database or PayPal does not have it, or when two buyers were told the same one;
    it is there twice when a transaction has two rows, or a purchase's PayPal order two rows or two captures.
    """
    stored, charged = Counter(rows), Counter(captures)
    rows_of, captures_of = Counter(order for _, order in rows), Counter(order for _, order in captures)
    rows_with = Counter(transaction for transaction, _ in rows)
    acknowledged = [one for one in purchases if one.payment]
    told = Counter(one.payment for one in acknowledged)
    lost = [one for one in acknowledged if not stored[one.payment, one.order] or not charged[one.payment, one.order]]
    lost_by_mixing = sum(count - 1 for count in told.values())
    twice = [
        one
        for one in purchases
        if rows_of[one.order] > 1 or captures_of[one.order] > 1 or (one.payment and rows_with[one.payment] > 1)
    ]
    unsaid = [one for one in purchases if not one.payment and captures_of[one.order]]
    return {
        "lost_payments": len(lost) + lost_by_mixing,
        "duplicated_payments": len(twice),
        "charged_unacknowledged": len(unsaid),
        "charged_without_order": sum(not rows_of[one.order] for one in unsaid),
        "lost": sorted(one.payment for one in lost)[:20],
        "duplicated": sorted(one.order for one in twice)[:20],
    }

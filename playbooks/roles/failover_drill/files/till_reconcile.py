"""Every acknowledged payment is there exactly once: in the database's rows, and in PayPal's ledger."""

from __future__ import annotations

import json
import ssl
from collections import Counter
from http.client import HTTPException
from typing import Any

import psycopg2
from till_https import CA, Place
from till_road import Fault
from till_shop import Purchase

LOGINS = "/etc/till/credentials/drill_failover_logins"
CONNECT_TIMEOUT_S = 5
LEDGER_TIMEOUT_S = 30


def compare(purchases: list[Purchase], rows: list[tuple[str, str]], captures: list[tuple[str, str]]) -> dict[str, Any]:
    """What is lost or there twice. Pure.

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


def rows(host: str, database: str, orders: list[str]) -> list[tuple[str, str]]:
    """(transaction, PayPal order) of these PayPal orders, where the database leads; raises Fault."""
    try:
        link = psycopg2.connect(
            host=host, port=5432, dbname=database, user="postgres", passfile=LOGINS, sslmode="verify-full",
            sslrootcert=CA, connect_timeout=CONNECT_TIMEOUT_S, target_session_attrs="read-write",
        )  # fmt: skip
        try:
            with link.cursor() as cursor:
                cursor.execute(
                    "SELECT payment_intent_id, paypal_order_id FROM orders WHERE paypal_order_id = ANY(%s)", (orders,)
                )
                return [(str(transaction), str(order)) for transaction, order in cursor.fetchall()]
        finally:
            link.close()
    except psycopg2.Error as reason:
        raise Fault(f"the orders on {host} can't be read: {str(reason).strip().splitlines()[0]}") from None


def captures(simulator: dict[str, Any], trust: ssl.SSLContext, orders: list[str]) -> list[tuple[str, str]]:
    """The same as PayPal's side has it; raises Fault."""
    place, wanted = Place(simulator["name"], simulator["address"], trust, simulator["port"]), set(orders)
    try:
        status, body = place.ask(
            "GET", "/_simulator/ledger", connect_timeout_s=CONNECT_TIMEOUT_S, timeout_s=LEDGER_TIMEOUT_S
        )
        if status != 200:
            raise Fault(f"PayPal's ledger answers {status}")
        found = json.loads(body)["captures"]
    except (OSError, HTTPException, ValueError) as reason:
        raise Fault(f"PayPal's ledger can't be read: {reason}") from None
    return [(one["id"], one["order_id"]) for one in found if one["order_id"] in wanted]

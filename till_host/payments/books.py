"""What the database and PayPal's side have of some orders: the two books that payments are counted in."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException
from typing import Any

import psycopg2

from till_host.faults import Fault
from till_host.https import CA, Place

LOGINS = "/etc/till/credentials/drill_failover_logins"
CONNECT_TIMEOUT_S = 5
LEDGER_TIMEOUT_S = 30


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

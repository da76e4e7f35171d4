"""Compare the shop's last payments with PayPal's side of them, as the release in a slot would ask for both.

    ledger SLOT AGE_S MAX PATIENCE_S TIMEOUT_S

Payments that changed within the last AGE_S, the newest MAX of them. What differs is looked at again until PATIENCE_S
are over: a payment may be on its way. TIMEOUT_S for each question. Prints {"payments": number that PayPal charged,
"faults": [sentence], "more": whether there may be older ones}. Nothing personal is asked for.
Exit codes: 0 compared (also when there are faults), 1 not possible, 2 bad usage.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from till_host.faults import Fault
from till_host.payments import compare
from till_host.slots import units

DIRECTUS = ("DIRECTUS_INTERNAL_URL", "DIRECTUS_API_TOKEN")
PAYPAL = ("PAYPAL_API_URL", "NEXT_PUBLIC_PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET")
AT_ONCE = 4
AGAIN_S = 2
NOT_FOUND = 404
# Nothing can be charged before a capture was asked for.
UNASKED = ["started", "created"]


def environment(slot: str) -> dict[str, str]:
    """What the release in a slot has in its environment; raises Fault where what asking takes is missing."""
    found = units.environment(slot)
    if missing := [name for name in (*DIRECTUS, *PAYPAL) if not found.get(name)]:
        raise Fault(f"{', '.join(missing)} is missing in the environment of slot {slot}: till deploy")
    return found


class Books:
    """Both sides, asked with the release's own credentials."""

    def __init__(self, env: dict[str, str], timeout_s: float) -> None:
        self.env, self.timeout_s = env, timeout_s
        self.trust = ssl.create_default_context()
        if extra := env.get("NODE_EXTRA_CA_CERTS"):
            self.trust.load_verify_locations(extra)

    def rows(self, collection: str, question: dict[str, str]) -> list[dict[str, Any]]:
        """What Directus keeps; the newest first."""
        url, token = (self.env[name] for name in DIRECTUS)
        asked = f"{url}/items/{collection}?{urllib.parse.urlencode(question)}"
        return list(self._json("Directus", asked, {"Authorization": f"Bearer {token}"})["data"])

    def captures(self, orders: list[str]) -> dict[str, list[dict[str, Any]]]:
        """PayPal's captures by its order."""
        url, client, secret = (self.env[name] for name in PAYPAL)
        proof = base64.b64encode(f"{client}:{secret}".encode()).decode()
        granted = self._json(
            "PayPal", f"{url}/v1/oauth2/token", {"Authorization": f"Basic {proof}"}, b"grant_type=client_credentials"
        )
        if not granted.get("access_token"):
            raise Fault("PayPal grants no access to its orders")
        bearer = {"Authorization": f"Bearer {granted['access_token']}"}

        def one(order: str) -> list[dict[str, Any]]:
            # PayPal forgets an order that was never paid.
            place = f"{url}/v2/checkout/orders/{urllib.parse.quote(order, safe='')}"
            told = self._json("PayPal", place, bearer, known=False)
            units = told.get("purchase_units") or []
            return [capture for unit in units for capture in (unit.get("payments") or {}).get("captures") or []]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(orders, pool.map(one, orders), strict=True))

    def _json(
        self, who: str, url: str, headers: dict[str, str], body: bytes | None = None, known: bool = True
    ) -> dict[str, Any]:
        """The document of an answer; {} for what need not be known and is not. Raises Fault."""
        request = urllib.request.Request(url, data=body, headers=headers)
        path = urllib.parse.urlsplit(url).path
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s, context=self.trust) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as reason:
            if reason.code == NOT_FOUND and not known:
                return {}
            raise Fault(f"{who} answers {reason.code} to {path}") from None
        except (OSError, ValueError, TypeError, HTTPException) as reason:
            raise Fault(f"{who} can't be asked for {path}: {getattr(reason, 'reason', reason)}") from None


def compared(books: Books, age_s: float, most: int, patience_s: float) -> dict[str, Any]:
    """What differs, and goes on differing."""
    began, deadline = datetime.fromtimestamp(time.time() - age_s, UTC).isoformat(), time.monotonic() + patience_s
    changed = {"_or": [{"updated_at": {"_gte": began}}, {"updated_at": {"_null": True}, "created_at": {"_gte": began}}]}
    asked = {"_and": [{"paypal_order_id": {"_nnull": True}}, {"status": {"_nin": UNASKED}}, changed]}
    attempts = attempts_of(books, asked, most)
    paid, faults = read(books, attempts)
    names = list(faults)
    while names and time.monotonic() < deadline:
        time.sleep(AGAIN_S)
        _, faults = read(books, attempts_of(books, {"paypal_order_id": {"_in": names}}, len(names)))
        names = list(faults)
    told = [f"PayPal order {name}: {fault}" for name, found in faults.items() for fault in found]
    return {"payments": paid, "faults": told, "more": len(attempts) == most}


def attempts_of(books: Books, asked: dict[str, Any], most: int) -> list[dict[str, Any]]:
    return books.rows("payment_attempts", {
        "filter": json.dumps(asked), "sort": "-created_at", "limit": str(most),
        "fields": "paypal_order_id,status,charge_currency,charge_amount",
    })  # fmt: skip


def read(books: Books, attempts: list[dict[str, Any]]) -> tuple[int, dict[str, list[str]]]:
    """How many of them PayPal charged, and by PayPal's order what differs."""
    names = [str(one["paypal_order_id"]) for one in attempts]
    if not names:
        return 0, {}
    orders = books.rows("orders", {
        "filter": json.dumps({"paypal_order_id": {"_in": names}}), "limit": "-1",
        "fields": "paypal_order_id,payment_intent_id,payment_status,charge_currency,charge_amount",
    })  # fmt: skip
    captures = books.captures(names)
    paid = sum(1 for found in captures.values() if any(one["status"] in compare.PAID for one in found))
    return paid, compare.faults(attempts, orders, captures)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        slot, age_s, most, patience_s, timeout_s = arguments
        numbers = float(age_s), int(most), float(patience_s)
        limit_s = float(timeout_s)
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(json.dumps(compared(Books(environment(slot), limit_s), *numbers)))
    except (Fault, OSError, KeyError) as reason:
        print(f"ledger: {reason}", file=sys.stderr)
        return 1
    return 0

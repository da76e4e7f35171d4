#!/usr/bin/python3
"""Compare the shop's last payments with PayPal's side of them, as the release in a slot would ask for both.

    ledger SLOT SINCE MAX QUIET_S TIMEOUT_S

Payments that changed since then (s since the epoch), the newest MAX of them, without unpaid ones that changed within
the last QUIET_S: they may be on their way. TIMEOUT_S for each question. Prints {"payments": number that PayPal charged,
"faults": [sentence]}. Nothing personal is asked for.
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
from pathlib import Path
from typing import Any

import till_ledger

ENVIRONMENT = "/etc/till/env/storefront-{slot}.env"
DIRECTUS = ("DIRECTUS_INTERNAL_URL", "DIRECTUS_API_TOKEN")
PAYPAL = ("PAYPAL_API_URL", "NEXT_PUBLIC_PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET")
AT_ONCE = 4


class Fault(Exception):
    """What can't be asked, without any value of the environment."""


def environment(slot: str) -> dict[str, str]:
    """What the release in a slot has in its environment; written by deploy.yml for systemd."""
    path = Path(ENVIRONMENT.format(slot=slot))
    pairs = (line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#"))
    found = {key: value[1:-1].replace('\\"', '"').replace("\\\\", "\\") for key, _, value in pairs}
    if missing := [name for name in (*DIRECTUS, *PAYPAL) if not found.get(name)]:
        raise Fault(f"{', '.join(missing)} is missing in {path}: till deploy")
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
        bearer = {"Authorization": f"Bearer {granted['access_token']}"}

        def one(order: str) -> list[dict[str, Any]]:
            told = self._json("PayPal", f"{url}/v2/checkout/orders/{urllib.parse.quote(order, safe='')}", bearer)
            units = told.get("purchase_units") or []
            return [capture for unit in units for capture in (unit.get("payments") or {}).get("captures") or []]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(orders, pool.map(one, orders), strict=True))

    def _json(self, who: str, url: str, headers: dict[str, str], body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(url, data=body, headers=headers)
        path = urllib.parse.urlsplit(url).path
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s, context=self.trust) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as reason:
            raise Fault(f"{who} answers {reason.code} to {path}") from None
        except (OSError, ValueError, TypeError) as reason:
            raise Fault(f"{who} can't be asked for {path}: {getattr(reason, 'reason', reason)}") from None


def compared(books: Books, since: float, most: int, quiet_s: float) -> dict[str, Any]:
    began, until = (datetime.fromtimestamp(at, UTC).isoformat() for at in (since, time.time() - quiet_s))
    changed = {"_or": [{"updated_at": {"_gte": began}}, {"updated_at": {"_null": True}, "created_at": {"_gte": began}}]}
    quiet = {"_or": [{"updated_at": {"_lte": until}}, {"updated_at": {"_null": True}, "created_at": {"_lte": until}}]}
    settled = {"_or": [{"status": {"_eq": till_ledger.COMPLETED}}, quiet]}
    asked = {"_and": [{"paypal_order_id": {"_nnull": True}}, changed, settled]}
    attempts = books.rows("payment_attempts", {
        "filter": json.dumps(asked), "sort": "-created_at", "limit": str(most),
        "fields": "paypal_order_id,status,charge_currency,charge_amount",
    })  # fmt: skip
    names = [str(one["paypal_order_id"]) for one in attempts]
    if not names:
        return {"payments": 0, "faults": []}
    orders = books.rows("orders", {
        "filter": json.dumps({"paypal_order_id": {"_in": names}}), "limit": "-1",
        "fields": "paypal_order_id,payment_intent_id,payment_status,charge_currency,charge_amount",
    })  # fmt: skip
    captures = books.captures(names)
    paid = sum(1 for one in captures.values() if one)
    return {"payments": paid, "faults": till_ledger.faults(attempts, orders, captures)}


def main(arguments: list[str]) -> int:
    try:
        slot, since, most, quiet_s, timeout_s = arguments
        numbers = float(since), int(most), float(quiet_s)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

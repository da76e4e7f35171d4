"""One buyer and one purchase: each try asks the names anew and has the same keys, until the guide's time is over."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from till_host.https import Place, internal_trust, public_trust
from till_host.public_dns import answers

API = "/api/payments/paypal"
PAGE = "/en"
NAMES_TIMEOUT_S = 2


@dataclass(frozen=True)
class Purchase:
    """From `began` to `ended` (s since the epoch). `payment`: PayPal's transaction as the shop acknowledged it, "" when
    it did not; `order`: PayPal's order; `tries` that failed and the last `fault`. Without a simulator an acknowledged
    order stands for the payment."""

    began: float
    ended: float
    payment: str
    order: str
    tries: int = 0
    fault: str = ""


class Refused(Exception):
    """An answer with another status than the one that goes on."""


class Shop:
    """The shop as buyers find it, and PayPal's side where a simulator plays it."""

    def __init__(self, rules: dict[str, Any], internal: ssl.SSLContext, public: ssl.SSLContext) -> None:
        self.rules, self.load = rules, rules["load"]
        self.internal, self.public = internal, public
        self.resolver = answers.resolver(rules)

    @classmethod
    def of(cls, rules: dict[str, Any]) -> Shop:
        """With the CAs that stand behind names now; raises OSError."""
        return cls(rules, internal_trust(), public_trust(rules["root"]))

    def buy(self) -> Purchase:
        """A whole purchase; never raises."""
        began, tries, fault = time.time(), 0, ""
        buyer = _Buyer(self, began + self.load["purchase_timeout_s"])
        while True:
            try:
                payment = buyer.pay()
                return Purchase(began, time.time(), payment, buyer.order, tries, fault)
            except (OSError, HTTPException, Refused, ValueError, KeyError) as reason:
                tries, fault = tries + 1, f"{type(reason).__name__} {reason}".splitlines()[0][:160]
            # The edge takes one payment call of a user in this time.
            if time.time() + self.load["retry_pause_s"] >= buyer.deadline:
                return Purchase(began, time.time(), "", buyer.order, tries, fault)
            time.sleep(self.load["retry_pause_s"])


class _Buyer:
    """What a purchase keeps from try to try."""

    def __init__(self, shop: Shop, deadline: float) -> None:
        self.shop, self.deadline, self.order, self.approved = shop, deadline, "", False
        self.cookie = {"Cookie": f"till_session={uuid.uuid4().hex}"}
        self.key = {"Idempotency-Key": str(uuid.uuid4())}

    def pay(self) -> str:
        """Go on where the last try ended; the acknowledged payment."""
        rules = self.shop.rules
        found = answers.addresses(rules["shop_name"], self.shop.resolver, NAMES_TIMEOUT_S)
        if not found:
            raise Refused(f"{rules['shop_name']} has no address")
        here = Place(rules["shop_name"], found[0], self.shop.public)
        if not rules["simulator"]:
            return self.look_and_order(here)
        if not self.order:
            self.order = self.create(here)
        if not self.approved:
            outside = rules["simulator"]
            paypal = Place(outside["name"], outside["address"], self.shop.internal, outside["port"])
            self.ask(paypal, "/_simulator/approve", {"order_id": self.order}, {}, 200)
            self.approved = True
        captured = self.ask(here, f"{API}/capture-order", {"order_id": self.order}, self.cookie, 200)
        return str(captured["transaction_id"])

    def look_and_order(self, here: Place) -> str:
        """Where nobody can be charged by a drill: health, a page, and an order that nobody approves."""
        for path in (self.shop.rules["health_path"], PAGE):
            status, _ = here.ask("GET", path, None, self.cookie, **self.times())
            if status != 200:
                raise Refused(f"{path} answered {status}")
        self.order = self.create(here)
        return self.order

    def create(self, here: Place) -> str:
        load = self.shop.load
        order = {
            "items": [{"sku": load["sku"], "quantity": 1}],
            "customer": {"name": "Failover Drill", "email": f"drill@{self.shop.rules['shop_name']}"},
            "locale": "en",
        }
        return str(self.ask(here, f"{API}/create-order", order, {**self.cookie, **self.key}, 201)["order_id"])

    def ask(self, place: Place, path: str, body: Any, headers: dict[str, str], wanted: int) -> dict[str, Any]:
        status, answer = place.ask("POST", path, body, headers, **self.times())
        if status != wanted:
            raise Refused(f"{path} answered {status}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def times(self) -> dict[str, float]:
        left_s = self.deadline - time.time()
        if left_s <= 0:
            raise Refused("its time is over")
        return {"connect_timeout_s": self.shop.load["connect_timeout_s"], "timeout_s": left_s}

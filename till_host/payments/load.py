"""A steady load: purchases begin at an even pace, however long others take, so that an outage is measured as it is."""

from __future__ import annotations

import threading
import time

from till_host.payments.buyer import Purchase, Shop


class Load:
    """Runs while the block does. `purchases` are those that ended."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.purchases = shop, list[Purchase]()
        self._over, self._buyers = threading.Event(), list[threading.Thread]()
        self._pace = threading.Thread(target=self._begin, daemon=True)

    def __enter__(self) -> Load:
        self._pace.start()
        return self

    def __exit__(self, *_: object) -> None:
        """No purchase begins any more; those that did have their time."""
        self._over.set()
        self._pace.join()
        for buyer in self._buyers:
            buyer.join(2 * self.shop.load["purchase_timeout_s"])

    def acknowledged(self, since: float) -> int:
        return sum(bool(one.payment) and one.ended >= since for one in list(self.purchases))

    def _begin(self) -> None:
        pause_s, next_at = 1 / self.shop.load["purchases_per_s"], time.monotonic()
        while not self._over.wait(max(0.0, next_at - time.monotonic())):
            next_at += pause_s
            self._buyers = [buyer for buyer in self._buyers if buyer.is_alive()]
            buyer = threading.Thread(target=self._buy, daemon=True)
            buyer.start()
            self._buyers.append(buyer)

    def _buy(self) -> None:
        self.purchases.append(self.shop.buy())

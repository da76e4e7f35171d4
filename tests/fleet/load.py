"""A steady load of purchases on a lab, each by a buyer of its own; what was acknowledged is kept with its time."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from types import TracebackType

from infra.contract import Contract
from till import probe
from till.errors import TillError
from till.smoke import API, SIMULATOR_PORT

BUYERS = 4
REQUEST_TIMEOUT_S = 8


@dataclass
class Load:
    """Buys until stopped, or for `limit_s` at most; `acknowledged`: PayPal's transaction -> when the shop said 200."""

    contract: Contract
    limit_s: float = 120
    acknowledged: dict[str, float] = field(default_factory=dict)
    failed: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._trust = probe.public_trust(self.contract)
        self._address = probe.resolve(self.contract, self.contract.names.shop)[0]
        deadline = time.monotonic() + self.limit_s
        self._threads = [threading.Thread(target=self._buyer, args=(deadline,), daemon=True) for _ in range(BUYERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=3 * REQUEST_TIMEOUT_S)

    def _buyer(self, deadline: float) -> None:
        while not self._stop.is_set() and time.monotonic() < deadline:
            try:
                self._buy()
            except (TillError, OSError, KeyError, json.JSONDecodeError):
                self.failed += 1
                self._stop.wait(0.3)

    def _buy(self) -> None:
        contract, outside = self.contract, self.contract.outside
        assert outside is not None
        cookie = {"Cookie": f"till_session={uuid.uuid4().hex}"}
        place = f"{outside.host.address}:{SIMULATOR_PORT}"
        internal = probe.internal_trust(contract)
        with (
            probe.Site(contract.names.shop, self._address, self._trust, REQUEST_TIMEOUT_S) as shop,
            probe.Site(outside.paypal_name, place, internal, REQUEST_TIMEOUT_S) as paypal,
        ):
            order = {
                "items": [{"sku": "dates-1kg", "quantity": 1}],
                "customer": {"name": "Load", "email": "load@shop.example"},
                "locale": "en",
            }
            keyed = {**cookie, "Idempotency-Key": str(uuid.uuid4())}
            created = shop.ask("POST", f"{API}/create-order", headers=keyed, json=order).json()["order_id"]
            paypal.ask("POST", "/_simulator/approve", json={"order_id": created})
            captured = shop.ask("POST", f"{API}/capture-order", headers=cookie, json={"order_id": created})
            if captured.status_code == 200:
                self.acknowledged[captured.json()["transaction_id"]] = time.time()
            else:
                self.failed += 1

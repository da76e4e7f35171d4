"""A steady load of purchases on a lab, each by a buyer of its own; what was acknowledged is kept with its time.

Every other buyer asks the nameservers anew for each purchase; the rest stay with the first address, as a browser may.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any

from infra.contract import Contract
from till.checks.purchase import API, SIMULATOR_PORT
from till.errors import TillError
from till.observe import probe
from till.policy import thresholds
from till.public_dns import lookup

BUYERS = 4
# Each begins a purchase so often, one after the other: one a second in all. Two a second filled both cores of a machine
# at a third of the usual speed, and what was measured then was the load.
INTERVAL_S = 4.0
# Who could not buy tries again.
AGAIN_S = 0.3
# Guide, rollback triggers: a response over 10 s is a failure.
REQUEST_TIMEOUT_S = thresholds()["smoke"]["request_timeout_s"]


@dataclass
class Load:
    """Buys until stopped, or for `limit_s` at most.

    `acknowledged`: PayPal's transaction -> when the shop said 200; `failures`: when a purchase failed, and at what.
    """

    contract: Contract
    limit_s: float = 120
    acknowledged: dict[str, float] = field(default_factory=dict)
    failures: list[tuple[float, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._trust = probe.public_trust(self.contract)
        self._address = lookup.resolve(self.contract, self.contract.names.shop)[0]
        deadline = time.monotonic() + self.limit_s
        self._threads = [
            threading.Thread(target=self._buyer, args=(number, deadline), daemon=True) for number in range(BUYERS)
        ]
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

    @property
    def failed(self) -> int:
        """Purchases that were not acknowledged."""
        return len(self.failures)

    def longest_gap_s(self, since: float = 0) -> float:
        """The longest time without an acknowledged payment, from `since` on."""
        times = sorted([*([since] if since else []), *(at for at in self.acknowledged.values() if at >= since)])
        return round(max((later - earlier for earlier, later in pairwise(times)), default=0.0), 1)

    def _buyer(self, number: int, deadline: float) -> None:
        due = time.monotonic() + number * INTERVAL_S / BUYERS
        while not self._stop.wait(max(0.0, due - time.monotonic())) and time.monotonic() < deadline:
            due = max(due + INTERVAL_S, time.monotonic())
            try:
                self._buy(asks_names=number % 2 == 1)
            except (TillError, OSError, KeyError, json.JSONDecodeError) as reason:
                self.failures.append((time.time(), f"{type(reason).__name__}: {str(reason).splitlines()[0]}"))
                due = time.monotonic() + AGAIN_S

    def _buy(self, asks_names: bool) -> None:
        contract, outside = self.contract, self.contract.outside
        assert outside is not None
        cookie = {"Cookie": f"till_session={uuid.uuid4().hex}"}
        place = f"{outside.host.address}:{SIMULATOR_PORT}"
        internal = probe.internal_trust(contract)
        address = lookup.resolve(contract, contract.names.shop)[0] if asks_names else self._address
        with (
            probe.Site(contract.names.shop, address, self._trust, REQUEST_TIMEOUT_S) as shop,
            probe.Site(outside.paypal_name, place, internal, REQUEST_TIMEOUT_S) as paypal,
        ):
            order = {
                "items": [{"sku": "dates-1kg", "quantity": 1}],
                "customer": {"name": "Load", "email": "load@shop.example"},
                "locale": "en",
            }
            keyed = {**cookie, "Idempotency-Key": str(uuid.uuid4())}
            created = answered(shop.ask("POST", f"{API}/create-order", headers=keyed, json=order), 201)["order_id"]
            answered(paypal.ask("POST", "/_simulator/approve", json={"order_id": created}), 200)
            captured = answered(
                shop.ask("POST", f"{API}/capture-order", headers=cookie, json={"order_id": created}), 200
            )
            self.acknowledged[captured["transaction_id"]] = time.time()


def answered(answer: Any, status: int) -> dict[str, Any]:
    """The document of an answer; TillError with what was said when it has another status."""
    if answer.status_code != status:
        raise TillError(f"{answer.request.url.path} answered {answer.status_code} {answer.text[:120]}")
    return dict(answer.json())

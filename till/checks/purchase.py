"""Buy something through the public name, and read the order back."""

from __future__ import annotations

import http.client
import time
import uuid
from typing import Any

from infra.contract import Contract
from till.checks import verdicts
from till.errors import GateSaidNo, Refused, TillError
from till.observe import probe
from till.policy import thresholds
from till.progress import Progress
from till.public_dns import lookup

SIMULATOR_PORT = 8443
API = "/api/payments/paypal"
WAIT_STEP_S = 3
# A health answer is kept for a moment by whoever gives it.
HEALTH_INTERVAL_S = 0.5


class _Steps:
    """Times of the steps in seconds; the purchase as a whole has a deadline."""

    def __init__(self, progress: Progress, deadline_s: float) -> None:
        self.times: dict[str, float] = {}
        self._progress, self._deadline_s = progress, deadline_s
        self._began = self._last = time.monotonic()

    def done(self, name: str, told: str) -> None:
        now = time.monotonic()
        self.times[name] = round(now - self._last, 3)
        self._last = now
        self._progress.say(f"  {name:<12} {told}")
        if now - self._began > self._deadline_s:
            raise GateSaidNo(f"smoke: {now - self._began:.1f} s until {name}, {self._deadline_s} s are allowed")

    def pause(self) -> None:
        """What a person took does not count."""
        waited = time.monotonic() - self._last
        self._began += waited
        self._last += waited


def approves(contract: Contract) -> bool:
    """Whether a purchase here approves itself: the simulator has a buyer, PayPal's sandbox has a person."""
    return contract.outside is not None and contract.paypal.mode == "simulator"


def run(contract: Contract, progress: Progress, until_approval: bool = False, cookie: str = "") -> dict[str, Any]:
    """A purchase from health check to the row in Directus; `cookie` leads it to a release that is being tried.

    Returns order_id, payment_status, version, transaction_id and steps (seconds); with `until_approval` it ends at
    the buyer's approval, with the payment_status "awaiting approval". Raises GateSaidNo with the step that failed,
    Refused when nobody approved in time.
    """
    policy = thresholds()["smoke"]
    steps = _Steps(progress, policy["deadline_s"])
    trust = probe.public_trust(contract)
    address = lookup.resolve(contract, contract.names.shop)[0]
    steps.done("resolve", f"{contract.names.shop} is {address}")
    with probe.Site(contract.names.shop, address, trust, cookie=cookie) as shop:
        version = _healthy(contract, shop, steps)
        buyer = _buyer()
        created = _create(contract, shop, buyer)
        charge = created["charge"]
        steps.done("create", f"{created['total_omr']} OMR, charged {charge['amount']} {charge['currency']}")
        if until_approval:
            told = "awaiting approval"
            return {"order_id": created["order_id"], "payment_status": told, "version": version, "steps": steps.times}
        if approves(contract):
            _approve(contract, created)
            steps.done("approve", "by the simulator's buyer")
            answer = _capture(shop, buyer, created)
        else:
            answer = _captured_by_person(shop, buyer, created, progress, policy["approval_deadline_s"])
            steps.pause()
        captured = _expect(answer, 200, "capture-order", contract)
        steps.done("capture", f"transaction {captured['transaction_id']}")
    row = order_row(contract, trust, captured["transaction_id"])
    verdict = verdicts.order({**created, **captured}, row)
    if not verdict.passed or row is None:
        raise GateSaidNo(f"smoke: {verdict.sentence}", f"till status {contract.stack}")
    steps.done("read back", verdict.sentence)
    return {
        "order_id": row["id"],
        "payment_status": row["payment_status"],
        "transaction_id": captured["transaction_id"],
        "version": version,
        "steps": steps.times,
    }


def _expect(answer: Any, status: int, step: str, contract: Contract) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.status_code != status:
        reason = body.get("error", body) if isinstance(body, dict) else body
        raise GateSaidNo(
            f"smoke: {step} answered {answer.status_code}, not {status}: {str(reason)[:400]}",
            f"till status {contract.stack}",
        )
    return dict(body)


def _healthy(contract: Contract, shop: probe.Site, steps: _Steps) -> str:
    """Health, security headers, and that bad input is refused; returns the release that answers."""
    answer = shop.ask("GET", "/api/health")
    deadline = time.monotonic() + thresholds()["smoke"]["health_within_s"]
    while answer.status_code != http.client.OK and time.monotonic() < deadline:
        time.sleep(HEALTH_INTERVAL_S)
        answer = shop.ask("GET", "/api/health")
    health = _expect(answer, 200, "GET /api/health", contract)
    verdict = verdicts.headers(dict(answer.headers), thresholds()["security_headers"])
    if not verdict.passed:
        raise GateSaidNo(f"smoke: {verdict.sentence}", f"till provision {contract.stack}")
    version = str(health.get("release", health.get("version")))
    steps.done("health", f"{health['status']}, {version}")
    refused = shop.ask("POST", f"{API}/create-order", json={"test": True}, headers=_buyer())
    _expect(refused, 400, "create-order with invalid input", contract)
    steps.done("bad input", "refused with 400")
    return version


def _buyer() -> dict[str, str]:
    """A buyer of its own: the edge limits each session to one payment call a second."""
    return {"Cookie": f"till_session={uuid.uuid4().hex}"}


def _create(contract: Contract, shop: probe.Site, buyer: dict[str, str]) -> dict[str, Any]:
    policy = thresholds()["smoke"]
    answer = shop.ask(
        "POST",
        f"{API}/create-order",
        headers={**buyer, "Idempotency-Key": str(uuid.uuid4())},
        json={
            "items": [{"sku": policy["sku"], "quantity": policy["quantity"]}],
            "customer": {"name": "Smoke Test", "email": f"smoke@{contract.names.shop}"},
            "locale": "en",
        },
    )
    return _expect(answer, 201, "create-order", contract)


def _capture(shop: probe.Site, buyer: dict[str, str], created: dict[str, Any]) -> Any:
    return shop.ask("POST", f"{API}/capture-order", headers=buyer, json={"order_id": created["order_id"]})


def _captured_by_person(
    shop: probe.Site, buyer: dict[str, str], created: dict[str, Any], progress: Progress, deadline_s: float
) -> Any:
    """Ask until a person has approved; 409 is "not yet"."""
    progress.say(f"  approve      as a buyer, within {deadline_s} s: {created.get('approve_url', '')}")
    deadline = time.monotonic() + deadline_s
    while True:
        answer = _capture(shop, buyer, created)
        if answer.status_code != 409:
            return answer
        if time.monotonic() > deadline:
            raise Refused(
                f"PayPal order {created['order_id']} was not approved within {deadline_s} s",
                "run it again, and open the address that it prints as a buyer",
            )
        time.sleep(WAIT_STEP_S)


def _approve(contract: Contract, created: dict[str, Any]) -> None:
    assert contract.outside is not None
    place = f"{contract.outside.host.address}:{SIMULATOR_PORT}"
    with probe.Site(contract.outside.paypal_name, place, probe.internal_trust(contract)) as paypal:
        answer = paypal.ask("POST", "/_simulator/approve", json={"order_id": created["order_id"]})
    _expect(answer, 200, "the simulator's buyer", contract)


def order_row(contract: Contract, trust: Any, transaction_id: str) -> dict[str, Any] | None:
    """The order of a PayPal transaction as Directus has it, with items and customer; None when there is none."""
    token = contract.secrets["directus_api_token"].get_secret_value()
    wanted = f"fields=*,items.*,customer_id.id&filter[payment_intent_id][_eq]={transaction_id}&limit=1"
    with probe.Site(contract.names.admin, lookup.resolve(contract, contract.names.admin)[0], trust) as admin:
        answer = admin.ask("GET", f"/items/orders?{wanted}", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != 200:
        raise TillError(f"Directus answered {answer.status_code} for the order", f"till status {contract.stack}")
    rows = answer.json()["data"]
    return dict(rows[0]) if rows else None

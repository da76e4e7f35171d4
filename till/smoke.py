"""Buy something through the public name, and read the order back."""

from __future__ import annotations

import time
import uuid
from typing import Any

from infra.contract import Contract
from till import gates, probe
from till.errors import GateSaidNo, Refused, TillError
from till.progress import Progress
from till.thresholds import thresholds

SIMULATOR_PORT = 8443


class _Steps:
    """Times of the steps, in seconds."""

    def __init__(self, progress: Progress) -> None:
        self.times: dict[str, float] = {}
        self._progress = progress
        self._last = time.monotonic()

    def done(self, name: str, told: str) -> None:
        now = time.monotonic()
        self.times[name] = round(now - self._last, 3)
        self._last = now
        self._progress.say(f"  {name:<12} {told}")


def _expect(answer: Any, status: int, step: str) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.status_code != status:
        reason = body.get("error", body) if isinstance(body, dict) else body
        raise GateSaidNo(
            f"smoke: {step} answered {answer.status_code}, not {status}: {str(reason)[:400]}", "till status"
        )
    return dict(body)


def run(contract: Contract, progress: Progress) -> dict[str, Any]:
    """A purchase from health check to the row in Directus.

    Returns order_id, payment_status, version, transaction_id and steps (seconds). Raises GateSaidNo with the step that failed.
    """
    steps = _Steps(progress)
    policy = thresholds()["smoke"]
    trust = probe.public_trust(contract)
    address = probe.resolve(contract, contract.names.shop)[0]
    steps.done("resolve", f"{contract.names.shop} is {address}")
    with probe.Site(contract.names.shop, address, trust) as shop:
        answer = shop.ask("GET", "/api/health")
        health = _expect(answer, 200, "GET /api/health")
        verdict = gates.headers(dict(answer.headers), thresholds()["security_headers"])
        if not verdict.passed:
            raise GateSaidNo(f"smoke: {verdict.sentence}", f"till provision {contract.stack}")
        steps.done("health", f"{health['status']}, {health.get('release', health.get('version'))}")
        refused = shop.ask("POST", "/api/payments/paypal/create-order", json={"test": True}, headers=_buyer())
        _expect(refused, 400, "create-order with invalid input")
        steps.done("bad input", "refused with 400")
        buyer = _buyer()
        created = _expect(
            shop.ask(
                "POST",
                "/api/payments/paypal/create-order",
                headers={**buyer, "Idempotency-Key": str(uuid.uuid4())},
                json={
                    "items": [{"sku": policy["sku"], "quantity": policy["quantity"]}],
                    "customer": {"name": "Smoke Test", "email": f"smoke@{contract.names.shop}"},
                    "locale": "en",
                },
            ),
            201,
            "create-order",
        )
        steps.done(
            "create",
            f"{created['total_omr']} OMR, charged {created['charge']['amount']} {created['charge']['currency']}",
        )
        _approve(contract, created)
        steps.done("approve", "by the simulator's buyer")
        captured = _expect(
            shop.ask(
                "POST", "/api/payments/paypal/capture-order", headers=buyer, json={"order_id": created["order_id"]}
            ),
            200,
            "capture-order",
        )
        steps.done("capture", f"transaction {captured['transaction_id']}")
    row = order_row(contract, trust, address, captured["transaction_id"])
    verdict = gates.order({**created, **captured}, row)
    if not verdict.passed or row is None:
        raise GateSaidNo(f"smoke: {verdict.sentence}", f"till status {contract.stack}")
    steps.done("read back", verdict.sentence)
    return {
        "order_id": row["id"],
        "payment_status": row["payment_status"],
        "transaction_id": captured["transaction_id"],
        "version": health.get("release", health.get("version")),
        "steps": steps.times,
    }


def _buyer() -> dict[str, str]:
    """A buyer of its own: the edge limits each session to one payment call a second."""
    return {"Cookie": f"till_session={uuid.uuid4().hex}"}


def _approve(contract: Contract, created: dict[str, Any]) -> None:
    if contract.outside is None:
        raise Refused(
            f"PayPal order {created['order_id']} waits for a buyer's approval: {created.get('approve_url', '')}",
            "approve it there as a sandbox buyer; a smoke purchase approves by itself with the simulator only",
        )
    with probe.Site(
        contract.outside.paypal_name,
        f"{contract.outside.host.address}:{SIMULATOR_PORT}",
        probe.internal_trust(contract),
    ) as paypal:
        _expect(
            paypal.ask("POST", "/_simulator/approve", json={"order_id": created["order_id"]}),
            200,
            "the simulator's buyer",
        )


def order_row(contract: Contract, trust: Any, address: str, transaction_id: str) -> dict[str, Any] | None:
    """The order of a PayPal transaction as Directus has it, with items and customer; None when there is none."""
    with probe.Site(contract.names.admin, address, trust) as admin:
        answer = admin.ask(
            "GET",
            f"/items/orders?fields=*,items.*,customer_id.id&filter[payment_intent_id][_eq]={transaction_id}&limit=1",
            headers={"Authorization": f"Bearer {contract.secrets['directus_api_token'].get_secret_value()}"},
        )
    if answer.status_code != 200:
        raise TillError(f"Directus answered {answer.status_code} for the order", f"till status {contract.stack}")
    rows = answer.json()["data"]
    return dict(rows[0]) if rows else None

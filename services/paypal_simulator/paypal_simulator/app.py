"""The HTTP face: routes, authentication, idempotency, error shapes."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from paypal_simulator import orders, pages, webhooks
from paypal_simulator.errors import PayPalError, invalid, not_found
from paypal_simulator.faults import Faults
from paypal_simulator.store import Store

TOKEN_LIFETIME_S = 32400
LOG = logging.getLogger("paypal_simulator")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Settings:
    """What the command line gives."""

    client_id: str
    client_secret: str
    state: Path
    public_url: str
    webhook_url: str = ""
    webhook_id: str = "WH-LAB"
    webhook_trust: ssl.SSLContext | bool = True
    tokens: dict[str, float] = field(default_factory=dict, repr=False)


async def _json(request: web.Request) -> Any:
    try:
        return await request.json() if request.can_read_body else None
    except ValueError:
        raise invalid("MALFORMED_REQUEST_JSON", "/") from None


class Simulator:
    """The handlers and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.state)
        self.faults = Faults()
        self.signer = webhooks.Signer(settings.state)
        self.sender = webhooks.Sender(self.signer, settings.public_url, settings.webhook_trust)
        if settings.webhook_url:
            self.store.put("webhook", settings.webhook_id, {"id": settings.webhook_id, "url": settings.webhook_url})

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._logged, self._paypal])
        app.add_routes(
            [
                web.get("/v1/health", self.health),
                web.post("/v1/oauth2/token", self.token),
                web.post("/v2/checkout/orders", self.create),
                web.get("/v2/checkout/orders/{id}", self.read),
                web.post("/v2/checkout/orders/{id}/capture", self.capture),
                web.get("/v2/payments/captures/{id}", self.read_capture),
                web.post("/v2/payments/captures/{id}/refund", self.refund),
                web.post("/v1/notifications/webhooks", self.register),
                web.post("/v1/notifications/verify-webhook-signature", self.verify),
                web.get("/v1/notifications/certs/simulator", self.certificate),
                web.get("/checkoutnow", self.page),
                web.post("/checkoutnow", self.choose),
                web.post("/_simulator/approve", self.approve),
                web.get("/_simulator/ledger", self.ledger),
                web.post("/_simulator/faults", self.add_fault),
                web.delete("/_simulator/faults", self.clear_faults),
            ]
        )
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, _app: web.Application) -> None:
        await self.sender.close()
        self.store.close()

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        answer = await handler(request)
        LOG.info(
            json.dumps(
                {
                    "method": request.method,
                    "path": request.path,
                    "status": answer.status,
                    "duration_ms": round((time.monotonic() - began) * 1000, 1),
                }
            )
        )
        return answer

    @web.middleware
    async def _paypal(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Authentication, faults, idempotency and PayPal's errors around its API paths."""
        api = request.path.startswith(("/v1/", "/v2/"))
        try:
            if api and request.path not in ("/v1/health", "/v1/oauth2/token") and "/certs/" not in request.path:
                self._authenticate(request)
            request_id = request.headers.get("PayPal-Request-Id") if request.method == "POST" and api else None
            kept = self.store.answer(request_id, request.path) if request_id else None
            if api and kept is None:
                await self.faults.strike(request.path, request.headers.get("PayPal-Mock-Response"))
            if kept is not None:
                # PayPal answers a repeated request id with what it did, and 200.
                return web.json_response(kept[1], status=200)
            answer = await handler(request)
            if request_id and isinstance(answer, web.Response) and answer.status < 300 and answer.text:
                self.store.keep_answer(request_id, request.path, answer.status, json.loads(answer.text))
            return answer
        except PayPalError as error:
            body = error.body()
            return web.json_response(body, status=error.status, headers={"PayPal-Debug-Id": body["debug_id"]})

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self.settings.tokens.get(token, 0) < time.time():
            raise PayPalError(401, "AUTHENTICATION_FAILURE")

    def _order(self, request: web.Request) -> dict[str, Any]:
        order = self.store.get("order", request.match_info["id"])
        if order is None:
            raise not_found()
        return order

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def token(self, request: web.Request) -> web.Response:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = f"{self.settings.client_id}:{self.settings.client_secret}"
        try:
            matches = scheme == "Basic" and hmac.compare_digest(base64.b64decode(given), expected.encode())
        except ValueError:
            matches = False
        if not matches:
            return web.json_response(
                {"error": "invalid_client", "error_description": "Client Authentication failed"}, status=401
            )
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response(
                {"error": "unsupported_grant_type", "error_description": "unsupported grant_type"}, status=400
            )
        token = "A21AA" + secrets.token_urlsafe(48)
        self.settings.tokens[token] = time.time() + TOKEN_LIFETIME_S
        return web.json_response(
            {
                "scope": "https://uri.paypal.com/services/payments",
                "access_token": token,
                "token_type": "Bearer",
                "app_id": "APP-SIMULATOR",
                "expires_in": TOKEN_LIFETIME_S,
            }
        )

    async def create(self, request: web.Request) -> web.Response:
        order = orders.created(await _json(request), self.settings.public_url)
        self.store.put("order", order["id"], order)
        return web.json_response(orders.public(order), status=201)

    async def read(self, request: web.Request) -> web.Response:
        return web.json_response(orders.public(self._order(request)))

    async def capture(self, request: web.Request) -> web.Response:
        order, capture = orders.captured(self._order(request))
        self.store.put("capture", capture["id"], capture)
        self.store.put("order", order["id"], order)
        self._tell("PAYMENT.CAPTURE.COMPLETED", capture)
        return web.json_response(orders.public(order), status=201)

    async def read_capture(self, request: web.Request) -> web.Response:
        capture = self.store.get("capture", request.match_info["id"])
        if capture is None:
            raise not_found()
        return web.json_response(capture)

    async def refund(self, request: web.Request) -> web.Response:
        capture = self.store.get("capture", request.match_info["id"])
        if capture is None:
            raise not_found()
        before = [one for one in self.store.all("refund") if one["capture_id"] == capture["id"]]
        capture, refund = orders.refunded(capture, await _json(request), before)
        self.store.put("refund", refund["id"], refund)
        self.store.put("capture", capture["id"], capture)
        up = f"{self.settings.public_url}/v2/payments/captures/{capture['id']}"
        self._tell("PAYMENT.CAPTURE.REFUNDED", {**refund, "links": [{"href": up, "rel": "up", "method": "GET"}]})
        return web.json_response(refund, status=201)

    def _tell(self, kind: str, resource: dict[str, Any]) -> None:
        body = webhooks.event(kind, resource)
        self.store.put("event", body["id"], body)
        for hook in self.store.all("webhook"):
            self.sender.send(hook, body)

    async def register(self, request: web.Request) -> web.Response:
        asked = await _json(request)
        if not isinstance(asked, dict) or not str(asked.get("url", "")).startswith("https://"):
            raise invalid("INVALID_PARAMETER_SYNTAX", "/url", "An https URL.")
        hook = {"id": f"WH-{orders.new_id()}", "url": asked["url"]}
        self.store.put("webhook", hook["id"], hook)
        return web.json_response(hook, status=201)

    async def verify(self, request: web.Request) -> web.Response:
        asked = await _json(request)
        try:
            # PayPal verifies over the event as it was sent; a client sends it back parsed.
            body = json.dumps(asked["webhook_event"]).encode()
            signed = webhooks.message(asked["transmission_id"], asked["transmission_time"], asked["webhook_id"], body)
            well = self.signer.verifies(signed, asked["transmission_sig"])
        except (KeyError, TypeError):
            raise invalid("MISSING_REQUIRED_PARAMETER", "/") from None
        return web.json_response({"verification_status": "SUCCESS" if well else "FAILURE"})

    async def certificate(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.signer.certificate(), content_type="application/x-pem-file")

    async def page(self, request: web.Request) -> web.Response:
        order = self.store.get("order", request.query.get("token", ""))
        if order is None:
            return web.Response(status=404, text="This payment does not exist.")
        return web.Response(text=pages.checkout(order), content_type="text/html")

    async def choose(self, request: web.Request) -> web.Response:
        form = await request.post()
        order = self.store.get("order", str(form.get("token", "")))
        if order is None:
            return web.Response(status=404, text="This payment does not exist.")
        if form.get("choice") != "approve":
            raise web.HTTPSeeOther(_with_query(order["_urls"]["cancel_url"], token=order["id"]))
        order = orders.approved(order)
        self.store.put("order", order["id"], order)
        raise web.HTTPSeeOther(
            _with_query(order["_urls"]["return_url"], token=order["id"], PayerID=order["payer"]["payer_id"])
        )

    async def approve(self, request: web.Request) -> web.Response:
        asked = await _json(request) or {}
        order = self.store.get("order", str(asked.get("order_id", "")))
        if order is None:
            return web.json_response(not_found().body(), status=404)
        try:
            order = orders.approved(order)
        except PayPalError as error:
            return web.json_response(error.body(), status=error.status)
        self.store.put("order", order["id"], order)
        return web.json_response({"id": order["id"], "status": order["status"]})

    async def ledger(self, _request: web.Request) -> web.Response:
        return web.json_response({"captures": self.store.all("capture"), "refunds": self.store.all("refund")})

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = self.faults.add(await _json(request) or {})
        except (ValueError, AttributeError) as reason:
            return web.json_response({"error": str(reason)}, status=400)
        return web.json_response(vars(fault), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self.faults.standing.clear()
        return web.json_response({"standing": 0})


def _with_query(url: str, **added: str) -> str:
    parts = urlsplit(url or "/")
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *added.items()])))

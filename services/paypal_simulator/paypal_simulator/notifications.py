"""Webhooks over HTTP: who wants them, and whether PayPal signed one."""

from __future__ import annotations

import json

from aiohttp import web

from paypal_simulator import orders, webhooks
from paypal_simulator.errors import invalid, not_found
from paypal_simulator.state import State, body

KIND = "webhook"
SIGNED_FIELDS = ("auth_algo", "cert_url", "transmission_id", "transmission_sig", "transmission_time", "webhook_id")


class Notifications:
    """The webhook paths."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/v1/notifications/webhooks", self.register),
            web.get("/v1/notifications/webhooks", self.list),
            web.delete("/v1/notifications/webhooks/{id}", self.remove),
            web.post("/v1/notifications/verify-webhook-signature", self.verify),
            web.get(webhooks.CERTIFICATE_PATH, self.certificate),
        ]

    async def register(self, request: web.Request) -> web.Response:
        """A new receiver of events; an https address, as PayPal wants."""
        asked = await body(request)
        if not isinstance(asked, dict) or not str(asked.get("url", "")).startswith("https://"):
            raise invalid("INVALID_PARAMETER_SYNTAX", "/url", "An https URL.")
        types = asked.get("event_types", [{"name": "*"}])
        named = isinstance(types, list) and all(isinstance(one, dict) and "name" in one for one in types)
        if not named or not types:
            raise invalid("INVALID_PARAMETER_SYNTAX", "/event_types", 'A list like [{"name": "*"}].')
        if any(one["url"] == asked["url"] for one in self._state.store.all(KIND)):
            raise invalid("WEBHOOK_URL_ALREADY_EXISTS", "/url", "Webhook URL already exists")
        hook = {
            "id": orders.new_id(),
            "url": asked["url"],
            "event_types": [{"name": str(one["name"])} for one in types],
        }
        self._state.store.put(KIND, hook["id"], hook)
        return web.json_response(hook, status=201)

    async def list(self, _request: web.Request) -> web.Response:
        """Every receiver."""
        return web.json_response({"webhooks": self._state.store.all(KIND)})

    async def remove(self, request: web.Request) -> web.Response:
        """One receiver less."""
        if not self._state.store.remove(KIND, request.match_info["id"]):
            raise not_found()
        return web.Response(status=204)

    async def verify(self, request: web.Request) -> web.Response:
        """Whether the simulator signed these bytes for this webhook."""
        asked, text = await body(request), await request.text()
        given = asked if isinstance(asked, dict) else {}
        missing = [name for name in (*SIGNED_FIELDS, "webhook_event") if name not in given]
        if missing:
            raise invalid("MISSING_REQUIRED_PARAMETER", f"/{missing[0]}", "A required field is missing.")
        transmission, at = str(asked["transmission_id"]), str(asked["transmission_time"])
        signed = webhooks.message(transmission, at, str(asked["webhook_id"]), webhooks.raw_event(text))
        well = (
            self._state.store.get(KIND, str(asked["webhook_id"])) is not None
            and asked["auth_algo"] == webhooks.ALGORITHM
            and self._state.signer.verifies(signed, str(asked["transmission_sig"]))
        )
        return web.Response(
            text=json.dumps({"verification_status": "SUCCESS" if well else "FAILURE"}), content_type="application/json"
        )

    async def certificate(self, _request: web.Request) -> web.Response:
        """The certificate whose key signs."""
        return web.Response(body=self._state.signer.certificate, content_type="application/x-pem-file")

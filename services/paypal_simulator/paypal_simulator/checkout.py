"""Orders v2, captures and refunds over HTTP; a request id does its work once, however often it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from paypal_simulator import orders
from paypal_simulator.errors import invalid
from paypal_simulator.state import State, body

LONGEST_REQUEST_ID = 108


class Checkout:
    """The payment paths."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/v2/checkout/orders", self.create),
            web.get("/v2/checkout/orders/{id}", self.read),
            web.post("/v2/checkout/orders/{id}/capture", self.capture),
            web.get("/v2/payments/captures/{id}", self.read_capture),
            web.post("/v2/payments/captures/{id}/refund", self.refund),
            web.get("/v2/payments/refunds/{id}", self.read_refund),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """A new order."""
        asked = await body(request)

        def work() -> tuple[str, dict[str, Any]]:
            order = orders.created(asked, self._state.settings.public_url)
            self._state.store.put("order", order["id"], order)
            return "order", order

        return self._once(request, work)

    async def read(self, request: web.Request) -> web.Response:
        """An order as it is."""
        return web.json_response(orders.public(self._state.find("order", request.match_info["id"])))

    async def capture(self, request: web.Request) -> web.Response:
        """Take the money of an approved order."""
        await body(request)

        def work() -> tuple[str, dict[str, Any]]:
            order, capture = orders.captured(self._state.find("order", request.match_info["id"]))
            self._state.store.put("capture", capture["id"], capture)
            self._state.store.put("order", order["id"], order)
            self._state.sender.queue("PAYMENT.CAPTURE.COMPLETED", orders.public(capture))
            return "order", order

        return self._once(request, work)

    async def read_capture(self, request: web.Request) -> web.Response:
        """A capture as it is."""
        return web.json_response(orders.public(self._state.find("capture", request.match_info["id"])))

    async def refund(self, request: web.Request) -> web.Response:
        """Give back all or a part of a capture."""
        asked = await body(request)

        def work() -> tuple[str, dict[str, Any]]:
            store = self._state.store
            capture = self._state.find("capture", request.match_info["id"])
            before = [one for one in store.all("refund") if one["_capture_id"] == capture["id"]]
            capture, refund = orders.refunded(capture, asked, before, self._state.settings.public_url)
            store.put("refund", refund["id"], refund)
            store.put("capture", capture["id"], capture)
            order = self._state.find("order", capture["supplementary_data"]["related_ids"]["order_id"])
            store.put("order", order["id"], orders.with_capture(order, capture))
            self._state.sender.queue("PAYMENT.CAPTURE.REFUNDED", orders.public(refund))
            return "refund", refund

        return self._once(request, work)

    async def read_refund(self, request: web.Request) -> web.Response:
        """A refund as it is."""
        return web.json_response(orders.public(self._state.find("refund", request.match_info["id"])))

    def _once(self, request: web.Request, work: Callable[[], tuple[str, dict[str, Any]]]) -> web.Response:
        """201 with what the work made; 200 with its latest state when the request id did it before.

        All that the work writes, its webhooks and the request id are one transaction. Not a coroutine: a second request
        with the same id can not come in between.
        """
        request_id, store = request.headers.get("PayPal-Request-Id", ""), self._state.store
        if len(request_id) > LONGEST_REQUEST_ID:
            raise invalid("INVALID_STRING_LENGTH", "PayPal-Request-Id", f"1 to {LONGEST_REQUEST_ID} characters.")
        kept = store.done(request_id, request.path) if request_id else None
        if kept is not None:
            return self._shown(request, self._state.find(*kept), 200)
        with store.transaction():
            kind, document = work()
            if request_id:
                store.keep_done(request_id, request.path, kind, document["id"])
        self._state.sender.send()
        return self._shown(request, document, 201)

    def _shown(self, request: web.Request, document: dict[str, Any], status: int) -> web.Response:
        shown = orders.public(document)
        # Without the wish for the whole document PayPal tells little of a new order.
        whole = "return=representation" in request.headers.get("Prefer", "") or request.path != "/v2/checkout/orders"
        if not whole:
            shown = {name: shown[name] for name in ("id", "status", "links")}
        return web.json_response(shown, status=status)

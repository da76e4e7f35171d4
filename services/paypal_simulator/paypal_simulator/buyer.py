"""The buyer: looks at the page, approves or goes back; headless by /_simulator/approve."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from paypal_simulator import orders, pages
from paypal_simulator.errors import PayPalError, invalid
from paypal_simulator.state import State, body


class Buyer:
    """The buyer's paths."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/checkoutnow", self.page),
            web.post("/checkoutnow", self.choose),
            web.post("/_simulator/approve", self.approve),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """What is to pay, and two buttons."""
        order = self._state.store.get("order", request.query.get("token", ""))
        if order is None:
            return _page(pages.told("This payment does not exist."), 404)
        if order["status"] == "COMPLETED":
            return _page(pages.told("This payment is done."), 200)
        return _page(pages.checkout(order), 200)

    async def choose(self, request: web.Request) -> web.Response:
        """Back to the shop: with a yes, or without."""
        form = await request.post()
        order = self._state.store.get("order", str(form.get("token", "")))
        if order is None:
            return _page(pages.told("This payment does not exist."), 404)
        if form.get("choice") != "approve":
            return _back(order["_urls"]["cancel_url"], "You went back. Nothing was paid.", token=order["id"])
        try:
            order = self._approve(order)
        except PayPalError:
            return _page(pages.told("This payment is done."), 409)
        added = {"token": order["id"], "PayerID": order["payer"]["payer_id"]}
        return _back(order["_urls"]["return_url"], "You approved the payment.", **added)

    async def approve(self, request: web.Request) -> web.Response:
        """A yes without a browser: {"order_id": ID}."""
        asked = await body(request)
        if not isinstance(asked, dict) or not isinstance(asked.get("order_id"), str):
            raise invalid("MISSING_REQUIRED_PARAMETER", "/order_id", "A required field is missing.")
        order = self._approve(self._state.find("order", asked["order_id"]))
        return web.json_response({"id": order["id"], "status": order["status"]})

    def _approve(self, before: orders.Document) -> orders.Document:
        order = orders.approved(before)
        with self._state.store.transaction():
            self._state.store.put("order", order["id"], order)
            if before["status"] != order["status"]:
                self._state.sender.queue("CHECKOUT.ORDER.APPROVED", orders.public(order))
        self._state.sender.send()
        return order


def _page(text: str, status: int) -> web.Response:
    # No scripts, no frames: the page takes clicks, so nothing may lie over it.
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return web.Response(text=text, status=status, content_type="text/html", headers={"Content-Security-Policy": policy})


def _back(url: str, told: str, **added: str) -> web.Response:
    if not url:
        return _page(pages.told(told), 200)
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    place = urlunsplit(parts._replace(query=query))
    return web.Response(status=303, headers={"Location": place})

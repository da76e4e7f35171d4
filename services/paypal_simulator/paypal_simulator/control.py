"""The simulator's own switches and books; open to whoever reaches it, as no money moves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from paypal_simulator import faults, orders
from paypal_simulator.errors import PayPalError
from paypal_simulator.state import State, body


def _shown(fault: faults.Fault) -> dict[str, Any]:
    return {name: value for name, value in asdict(fault).items() if name != "code"}


class Control:
    """Health, faults and the ledger."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/v1/health", self.health),
            web.get("/_simulator/ledger", self.ledger),
            web.get("/_simulator/faults", self.faults),
            web.post("/_simulator/faults", self.add_fault),
            web.delete("/_simulator/faults", self.clear_faults),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """That it answers."""
        return web.json_response({"status": "ok"})

    async def ledger(self, _request: web.Request) -> web.Response:
        """Every capture with its order and every refund with its capture, in the order in which they were made."""
        captures = [
            {**one, "order_id": one["supplementary_data"]["related_ids"]["order_id"]}
            for one in self._state.store.all("capture")
        ]
        refunds = [{**orders.public(one), "capture_id": one["_capture_id"]} for one in self._state.store.all("refund")]
        return web.json_response({"captures": captures, "refunds": refunds})

    async def faults(self, _request: web.Request) -> web.Response:
        """What stands."""
        return web.json_response({"standing": [_shown(one) for one in self._state.faults.standing()]})

    async def add_fault(self, request: web.Request) -> web.Response:
        """One more; 400 says what is wrong with it."""
        try:
            fault = faults.parsed(await body(request))
        except ValueError as reason:
            raise PayPalError(400, "INVALID_REQUEST", "INVALID_FAULT", str(reason)) from None
        self._state.faults.add(fault)
        return web.json_response(_shown(fault), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """None stands any more."""
        self._state.faults.clear()
        return web.json_response({"standing": []})

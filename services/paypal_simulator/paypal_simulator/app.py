"""The web application: who answers what."""

from __future__ import annotations

from aiohttp import web

from paypal_simulator.buyer import Buyer
from paypal_simulator.checkout import Checkout
from paypal_simulator.control import Control
from paypal_simulator.middleware import logged, paypal
from paypal_simulator.notifications import Notifications
from paypal_simulator.oauth import OAuth
from paypal_simulator.state import Settings, State


def application(settings: Settings) -> web.Application:
    """A simulator on its state folder; starts and stops its deliveries with the server."""
    state = State(settings)
    app = web.Application(middlewares=[logged(), paypal(state)])
    for part in (OAuth(state), Checkout(state), Notifications(state), Buyer(state), Control(state)):
        app.add_routes(part.routes())

    async def start(_app: web.Application) -> None:
        await state.sender.start()

    async def stop(_app: web.Application) -> None:
        await state.sender.close()
        state.store.close()

    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return app

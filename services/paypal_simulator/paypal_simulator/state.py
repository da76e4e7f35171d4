"""What the handlers share."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from paypal_simulator.delivery import Road, Sender
from paypal_simulator.errors import PayPalError, invalid, not_found
from paypal_simulator.faults import Faults
from paypal_simulator.store import Store
from paypal_simulator.webhooks import Signer

TOKEN_LIFETIME_S = 32400.0


@dataclass(frozen=True)
class Settings:
    """What the command line gives."""

    client_id: str
    client_secret: str
    state: Path
    public_url: str
    webhook_url: str = ""
    webhook_id: str = "WH-LAB"
    webhook_trust: ssl.SSLContext | bool = True
    webhook_pauses_s: tuple[float, ...] = Road.pauses_s
    token_lifetime_s: float = TOKEN_LIFETIME_S

    def __repr__(self) -> str:
        return f"Settings(client_id={self.client_id!r}, client_secret=[REDACTED])"


class State:
    """Store, faults, signer and sender of one simulator."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.state)
        self.faults = Faults(self.store)
        self.signer = Signer(settings.state)
        road = Road(settings.webhook_pauses_s, settings.webhook_trust)
        self.sender = Sender(self.store, self.signer, settings.public_url, road)
        if settings.webhook_url:
            hook = {"id": settings.webhook_id, "url": settings.webhook_url, "event_types": [{"name": "*"}]}
            self.store.put("webhook", settings.webhook_id, hook)

    def find(self, kind: str, key: str) -> dict[str, Any]:
        """A document; raises PayPal's 404."""
        found = self.store.get(kind, key)
        if found is None:
            raise not_found()
        return found


async def body(request: web.Request) -> Any:
    """The JSON of a request, None without one; raises PayPal's errors for other media types and for bad JSON."""
    if not request.can_read_body:
        return None
    if request.content_type != "application/json":
        raise PayPalError(415, "UNSUPPORTED_MEDIA_TYPE")
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise invalid("MALFORMED_REQUEST_JSON", "/", "The request body is not valid JSON.") from None

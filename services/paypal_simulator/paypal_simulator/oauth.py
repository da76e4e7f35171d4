"""OAuth 2: client credentials for a token."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets

from aiohttp import web

from paypal_simulator.errors import OAuthError
from paypal_simulator.state import State


class OAuth:
    """POST /v1/oauth2/token."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [web.post("/v1/oauth2/token", self.token)]

    async def token(self, request: web.Request) -> web.Response:
        """A token for the client's id and secret."""
        settings = self._state.settings
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = f"{settings.client_id}:{settings.client_secret}".encode()
        try:
            matches = scheme.lower() == "basic" and hmac.compare_digest(base64.b64decode(given), expected)
        except (binascii.Error, ValueError):
            matches = False
        if not matches:
            raise OAuthError(401, "invalid_client", description="Client Authentication failed")
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            raise OAuthError(400, "unsupported_grant_type", description="Grant Type is not supported")
        token = "A21AA" + secrets.token_urlsafe(48)
        self._state.store.keep_token(token, settings.token_lifetime_s)
        return web.json_response(
            {
                "scope": "https://uri.paypal.com/services/payments/payment https://uri.paypal.com/services/payments/refund",
                "access_token": token,
                "token_type": "Bearer",
                "app_id": "APP-SIMULATOR",
                "expires_in": int(settings.token_lifetime_s),
            }
        )

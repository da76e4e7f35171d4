"""Around every request: debug id, log line, authentication, faults, PayPal's errors."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from paypal_simulator.errors import DEBUG_HEADER, OAuthError, PayPalError, not_found
from paypal_simulator.state import State

if TYPE_CHECKING:
    # aiohttp 3.8 has no such name.
    from aiohttp.typedefs import Middleware

LOG = logging.getLogger("paypal_simulator")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TIMEOUT_HOLD_S = 30.0
OPEN_PATHS = ("/v1/health", "/v1/oauth2/token", "/v1/notifications/certs/")


def is_api(path: str) -> bool:
    """Whether PayPal's own API is asked, not the buyer's page or the simulator's switches."""
    return path.startswith(("/v1/", "/v2/"))


def logged() -> Middleware:
    """A debug id on every answer, and one line of JSON without query, body, address or credentials."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        began, debug_id = time.monotonic(), secrets.token_hex(7)
        request["debug_id"] = debug_id
        try:
            answer = await handler(request)
        except web.HTTPException as special:
            answer = special
            if is_api(request.path):
                # No such path or method: PayPal has a shape for these too.
                unknown = PayPalError(special.status, special.reason.upper().replace(" ", "_"))
                answer = (not_found() if special.status == 404 else unknown).answer(debug_id)
        except Exception:
            LOG.exception("failed: %s", debug_id)
            answer = PayPalError(500, "INTERNAL_SERVER_ERROR").answer(debug_id)
        answer.headers[DEBUG_HEADER] = debug_id
        # A path that no route knows may be anything, so it stays out of the log.
        known = request.match_info.http_exception is None
        line = {
            "method": request.method,
            "path": request.path if known else "-",
            "status": answer.status,
            "duration_ms": round((time.monotonic() - began) * 1000, 1),
            "debug_id": debug_id,
        }
        LOG.info(json.dumps(line))
        return answer

    return middleware


def authenticate(state: State, request: web.Request) -> None:
    """Raise PayPal's 401 unless the request carries a token of ours that has not ended."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise PayPalError(401, "AUTHENTICATION_FAILURE")
    if not state.store.knows_token(token):
        raise OAuthError(401, "invalid_token", description="The token passed in was not found in the system")


def paypal(state: State) -> Middleware:
    """Authentication, faults, and PayPal's shape for errors."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not is_api(request.path):
                return await handler(request)
            if not request.path.startswith(OPEN_PATHS):
                authenticate(state, request)
            request_id = request.headers.get("PayPal-Request-Id")
            done = bool(request_id and state.store.done(request_id, request.path))
            fault = state.faults.take(request.path, request.headers.get("PayPal-Mock-Response"), done)
            if fault is None:
                return await handler(request)
            refusal = fault.refusal()
            if fault.kind == "timeout":
                answer = await handler(request)
                await asyncio.sleep(fault.delay_s or TIMEOUT_HOLD_S)
                if request.transport is not None:
                    request.transport.abort()
                return answer
            await asyncio.sleep(fault.delay_s)
            if refusal is not None:
                raise refusal
            return await handler(request)
        except PayPalError as error:
            return error.answer(request["debug_id"])

    return middleware

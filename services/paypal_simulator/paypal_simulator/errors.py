"""PayPal's error shapes (developer.paypal.com, API responses)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

DEBUG_HEADER = "PayPal-Debug-Id"
MESSAGES = {
    "AUTHENTICATION_FAILURE": "Authentication failed due to missing or invalid authentication credentials.",
    "INTERNAL_SERVER_ERROR": "An internal server error has occurred.",
    "INVALID_REQUEST": "Request is not well-formed, syntactically incorrect, or violates schema.",
    "RATE_LIMIT_REACHED": "Too many requests. Blocked due to rate limiting.",
    "RESOURCE_NOT_FOUND": "The specified resource does not exist.",
    "SERVICE_UNAVAILABLE": "Service Unavailable.",
    "UNPROCESSABLE_ENTITY": "The requested action could not be performed, semantically incorrect, or failed business "
    "validation.",
    "UNSUPPORTED_MEDIA_TYPE": "The server does not support the request payload's media type.",
}


class PayPalError(Exception):
    """An answer other than success: HTTP status, name, and the issue in `details`."""

    def __init__(self, status: int, name: str, issue: str = "", description: str = "", field: str = "") -> None:
        super().__init__(f"{status} {name} {issue}")
        self.status, self.name, self.issue = status, name, issue
        self.description, self.field = description, field

    def body(self, debug_id: str) -> dict[str, Any]:
        """The JSON that PayPal sends."""
        document: dict[str, Any] = {
            "name": self.name,
            "message": MESSAGES.get(self.name, self.name),
            "debug_id": debug_id,
        }
        if self.issue:
            detail = {"issue": self.issue, "description": self.description or self.issue}
            where = {"field": self.field, "location": "body"} if self.field else {}
            document["details"] = [{**where, **detail}]
        return document

    def answer(self, debug_id: str) -> web.Response:
        """The response."""
        return web.json_response(self.body(debug_id), status=self.status)


class OAuthError(PayPalError):
    """What the token road says: the shape is OAuth's, not that of the other APIs."""

    def body(self, debug_id: str) -> dict[str, Any]:
        """The JSON that PayPal sends."""
        return {"error": self.name, "error_description": self.description}


def unprocessable(issue: str, description: str = "", field: str = "") -> PayPalError:
    """422 with an issue."""
    return PayPalError(422, "UNPROCESSABLE_ENTITY", issue, description, field)


def invalid(issue: str, field: str, description: str = "") -> PayPalError:
    """400 with the field at fault."""
    return PayPalError(400, "INVALID_REQUEST", issue, description, field)


def not_found() -> PayPalError:
    """404."""
    return PayPalError(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "Specified resource ID does not exist.")

"""PayPal's error shapes (developer.paypal.com, API responses)."""

from __future__ import annotations

import secrets
from typing import Any

MESSAGES = {
    "INVALID_REQUEST": "Request is not well-formed, syntactically incorrect, or violates schema.",
    "UNPROCESSABLE_ENTITY": "The requested action could not be performed, semantically incorrect, or failed business validation.",
    "RESOURCE_NOT_FOUND": "The specified resource does not exist.",
    "AUTHENTICATION_FAILURE": "Authentication failed due to missing authorization header, or invalid authentication credentials.",
    "RATE_LIMIT_REACHED": "Too many requests. Blocked due to rate limiting.",
    "INTERNAL_SERVER_ERROR": "An internal server error has occurred.",
}


class PayPalError(Exception):
    """An answer other than success: HTTP status, name, and the issue in `details`."""

    def __init__(self, status: int, name: str, issue: str = "", description: str = "", field: str = "") -> None:
        super().__init__(f"{status} {name} {issue}")
        self.status, self.name, self.issue = status, name, issue
        self.description, self.field = description, field

    def body(self) -> dict[str, Any]:
        """The JSON that PayPal sends."""
        document: dict[str, Any] = {
            "name": self.name,
            "message": MESSAGES.get(self.name, self.name),
            "debug_id": secrets.token_hex(7),
        }
        if self.issue:
            detail = {"issue": self.issue, "description": self.description or self.issue}
            document["details"] = [{**({"field": self.field} if self.field else {}), **detail}]
        return document


def unprocessable(issue: str, description: str = "", field: str = "") -> PayPalError:
    """422 with an issue."""
    return PayPalError(422, "UNPROCESSABLE_ENTITY", issue, description, field)


def invalid(issue: str, field: str, description: str = "") -> PayPalError:
    """400 with the field at fault."""
    return PayPalError(400, "INVALID_REQUEST", issue, description, field)


def not_found() -> PayPalError:
    """404."""
    return PayPalError(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "Specified resource ID does not exist.")

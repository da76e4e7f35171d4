"""Faults switched on by request: for one call by header, or standing until their count is used up."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from paypal_simulator.errors import PayPalError, unprocessable

KINDS = ("decline", "rate_limit", "error", "slow")
LONGEST_DELAY_S = 60.0


@dataclass
class Fault:
    """`path` is a part of the request's path; `count` is how many requests it still hits."""

    path: str
    kind: str
    delay_s: float = 0.0
    count: int = 1


class Faults:
    """The standing faults."""

    def __init__(self) -> None:
        self.standing: list[Fault] = []

    def add(self, document: dict[str, object]) -> Fault:
        """Check and add one; raises ValueError naming what is wrong."""
        fault = Fault(
            str(document.get("path", "")),
            str(document.get("kind", "")),
            float(str(document.get("delay_s", 0))),
            int(str(document.get("count", 1))),
        )
        if fault.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        if not 0 <= fault.delay_s <= LONGEST_DELAY_S:
            raise ValueError(f"delay_s is 0 to {LONGEST_DELAY_S:.0f}")
        if not 1 <= fault.count <= 1_000_000:
            raise ValueError("count is 1 to 1000000")
        self.standing.append(fault)
        return fault

    async def strike(self, path: str, mock_response: str | None) -> None:
        """Raise what the request asked for or a standing fault says; wait where it says slow."""
        if mock_response:
            _raise_code(_code(mock_response))
        for fault in self.standing:
            if fault.path not in path:
                continue
            fault.count -= 1
            self.standing = [one for one in self.standing if one.count > 0]
            await asyncio.sleep(fault.delay_s)
            if fault.kind != "slow":
                _raise_code(
                    {"decline": "INSTRUMENT_DECLINED", "rate_limit": "RATE_LIMIT_REACHED"}.get(
                        fault.kind, "INTERNAL_SERVER_ERROR"
                    )
                )
            return


def _code(mock_response: str) -> str:
    try:
        return str(json.loads(mock_response)["mock_application_codes"])
    except (ValueError, KeyError, TypeError):
        raise PayPalError(
            400, "INVALID_REQUEST", "MALFORMED_REQUEST_JSON", "PayPal-Mock-Response is not what it should be."
        ) from None


def _raise_code(code: str) -> None:
    if code == "RATE_LIMIT_REACHED":
        raise PayPalError(429, code)
    if code in ("INTERNAL_SERVER_ERROR", "INTERNAL_SERVICE_ERROR"):
        raise PayPalError(500, "INTERNAL_SERVER_ERROR")
    raise unprocessable(
        code,
        "The instrument presented was either declined by the processor or bank, or it can't be used for this payment.",
    )

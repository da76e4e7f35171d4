"""Faults switched on by request: for one call by header, or standing until their count is used up."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from paypal_simulator.errors import PayPalError, invalid, unprocessable
from paypal_simulator.store import Store

KIND = "fault"
DECLINED = "INSTRUMENT_DECLINED"
RAISED = {
    "decline": DECLINED,
    "rate_limit": "RATE_LIMIT_REACHED",
    "error": "INTERNAL_SERVER_ERROR",
    "unavailable": "SERVICE_UNAVAILABLE",
}
# slow: the answer comes late. timeout: the work is done, and the answer never comes.
KINDS = (*RAISED, "slow", "timeout")
STATUS = {"RATE_LIMIT_REACHED": 429, "INTERNAL_SERVER_ERROR": 500, "SERVICE_UNAVAILABLE": 503}
DECLINED_TEXT = (
    "The instrument presented was either declined by the processor or bank, or it can't be used for this payment."
)
LONGEST_DELAY_S = 60.0
LARGEST_COUNT = 1_000_000


@dataclass(frozen=True)
class Fault:
    """`path` is a part of the request's path; `delay_s` comes first; `count` is how many requests it still hits."""

    path: str = ""
    kind: str = ""
    delay_s: float = 0.0
    count: int = 1
    code: str = ""

    def refusal(self) -> PayPalError | None:
        """The error that the fault answers with; None for those that don't answer with one."""
        code = self.code or RAISED.get(self.kind, "")
        if not code:
            return None
        if code in STATUS:
            return PayPalError(STATUS[code], code)
        return unprocessable(code, DECLINED_TEXT if code == DECLINED else "Asked for by a mock response.")


def parsed(document: Any) -> Fault:
    """A fault from a request body; raises ValueError naming what is wrong."""
    known = {"path", "kind", "delay_s", "count"}
    if not isinstance(document, dict) or set(document) - known:
        raise ValueError(f"an object with {', '.join(sorted(known))}")
    path, kind = document.get("path", ""), document.get("kind")
    delay_s, count = document.get("delay_s", 0), document.get("count", 1)
    if not isinstance(path, str):
        raise ValueError("path is a part of the paths to hit")
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}")
    if isinstance(delay_s, bool) or not isinstance(delay_s, int | float) or not math.isfinite(delay_s):
        raise ValueError("delay_s is a number of seconds")
    if not 0 <= delay_s <= LONGEST_DELAY_S:
        raise ValueError(f"delay_s is 0 to {LONGEST_DELAY_S:.0f}")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= LARGEST_COUNT:
        raise ValueError(f"count is 1 to {LARGEST_COUNT}")
    return Fault(path, kind, float(delay_s), count)


def mocked(header: str) -> Fault:
    """The fault that PayPal-Mock-Response asks for."""
    try:
        code = json.loads(header)["mock_application_codes"]
    except (ValueError, KeyError, TypeError):
        code = None
    if not isinstance(code, str) or not code.isascii() or not code.replace("_", "").isalnum():
        told = 'PayPal-Mock-Response is {"mock_application_codes": "CODE"}.'
        raise invalid("MALFORMED_REQUEST_JSON", "", told)
    return Fault(kind="mock", code="INTERNAL_SERVER_ERROR" if code == "INTERNAL_SERVICE_ERROR" else code)


class Faults:
    """The standing faults, oldest first; they outlive a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next = 1 + max((one["number"] for one in store.all(KIND)), default=0)

    def standing(self) -> list[Fault]:
        """What still stands."""
        return [Fault(**one["fault"]) for one in self._store.all(KIND)]

    def add(self, fault: Fault) -> None:
        """Let it stand until it hit as often as its count says."""
        self._keep(self._next, fault)
        self._next += 1

    def clear(self) -> None:
        """End them all."""
        for one in self._store.all(KIND):
            self._store.remove(KIND, str(one["number"]))

    def take(self, path: str, mock_header: str | None, done: bool) -> Fault | None:
        """What hits this request. A request that is `done` can be slow or lost, but not declined any more."""
        if mock_header and not done:
            return mocked(mock_header)
        for one in self._store.all(KIND):
            fault = Fault(**one["fault"])
            if fault.path in path and not (done and fault.kind == "decline"):
                if fault.count > 1:
                    self._keep(one["number"], Fault(fault.path, fault.kind, fault.delay_s, fault.count - 1))
                else:
                    self._store.remove(KIND, str(one["number"]))
                return fault
        return None

    def _keep(self, number: int, fault: Fault) -> None:
        self._store.put(KIND, str(number), {"number": number, "fault": asdict(fault)})

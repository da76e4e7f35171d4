"""What the fleet's tests share beside the lab itself (tests/conftest.py)."""

from __future__ import annotations

from tests.conftest import STACK, till

# A user pays once a second at most; a new user each time keeps tests apart from the limit.
PAYMENT_INTERVAL_S = 1.1

__all__ = ["PAYMENT_INTERVAL_S", "STACK", "till"]

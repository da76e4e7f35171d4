"""Whether a change may still write to this host: the newest change that ever did so is remembered. Pure.

Each change holds the stack's lock with a token that rises from one change to the next (docs/adr/0020). One that lost
the lock without knowing it comes with an older token than the change that took over.
"""

from __future__ import annotations

from typing import Any

from till_host.faults import Fault


def fenced(state: dict[str, Any], token: int) -> dict[str, Any]:
    """The state of the slots with this token as its newest; raises Fault when there was a newer one."""
    newest = int(state.get("fence", 0))
    if token < newest:
        raise Fault(f"a newer change (token {newest}) has taken over from this one (token {token}): till status")
    return {**state, "fence": token}

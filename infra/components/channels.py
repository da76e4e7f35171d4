"""The channels that people are told through, as secrets of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.components.secrets import WEBHOOK
from infra.contract import CHANNEL

WEBHOOK_USER, WEBHOOK_PORT = "till", 8090


def each_of_its_own(secrets: Mapping[str, Any], outside: str) -> dict[str, Any]:
    """The secrets with every address of `notify` (a JSON list) as one of its own. Pure.

    Where none is given, the webhook of the host that plays the world outside (`outside`, "" for none) is the channel.
    """
    others = {name: value for name, value in secrets.items() if name != "notify"}
    given = json.loads(secrets.get("notify") or "[]")
    if not given and outside and WEBHOOK in secrets:
        given = [f"json://{WEBHOOK_USER}:{secrets[WEBHOOK]}@{outside}:{WEBHOOK_PORT}/told"]
    return {**others, **{f"{CHANNEL}{place:02d}": address for place, address in enumerate(given, start=1)}}

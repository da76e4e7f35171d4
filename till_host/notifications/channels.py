"""The channels that people read: each an address of apprise, none of which is ever printed."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import apprise

KINDS = {"info": "info", "success": "success", "warning": "warning", "failure": "failure"}


class Channel:
    """`name` says which one it is (its place and service), `key` is the same as long as its address is."""

    def __init__(self, place: int, address: str) -> None:
        self.key = hashlib.sha256(address.encode()).hexdigest()[:16]
        # What apprise says of a refusal can hold the address.
        self._service = apprise.Apprise.instantiate(address, suppress_exceptions=True)
        service = str(getattr(self._service, "service_name", "") or address.partition(":")[0])
        self.name = f"channel {place} ({service})"

    @property
    def understood(self) -> bool:
        return self._service is not None

    def send(self, event: dict[str, Any]) -> bool:
        """Whether the channel took it; never raises."""
        if self._service is None:
            return False
        body = f"{event['text']}\n{event['id']}"
        try:
            return bool(
                self._service.notify(body=body, title=event["title"], notify_type=KINDS.get(event["severity"], "info"))
            )
        except Exception:
            # A plugin's words could repeat the address.
            return False


def read(file: Path) -> list[Channel]:
    """The channels of a file with a JSON list of addresses. Raises OSError, ValueError."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    return [Channel(place, address) for place, address in enumerate(json.loads(file.read_text()), start=1)]

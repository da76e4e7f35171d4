"""What people were told: read at the webhook that stands in for their channels in a lab."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.fleet.conftest import inside
from tests.fleet.database import until

RECEIVED = "/var/lib/till-webhook/received.jsonl"


@dataclass(frozen=True)
class Message:
    """`kind` and `host` as the event's id says, which is the last line of every message; when it came (s)."""

    kind: str
    host: str
    title: str
    text: str
    at: float

    @classmethod
    def read(cls, line: str) -> Message:
        told = json.loads(line)
        text, _, name = told["message"].strip().rpartition("\n")
        _, kind, host, _ = name.split("-")
        return cls(kind, host, told["title"], text, float(told["received_at"]))


class Told:
    """The messages that came since this was made."""

    def __init__(self) -> None:
        self.before = self._count()

    @staticmethod
    def _count() -> int:
        return int(inside("outside", f"cat {RECEIVED} 2>/dev/null | wc -l"))

    def all(self, *kinds: str) -> list[Message]:
        """In the order in which they came; of these kinds, or all."""
        lines = inside("outside", f"tail -n +{self.before + 1} {RECEIVED} 2>/dev/null || true").splitlines()
        return [one for one in map(Message.read, lines) if not kinds or one.kind in kinds]

    def wait(self, kind: str, deadline_s: float, words: str = "") -> Message:
        """The first of a kind with these words, once it has come."""

        def found() -> list[Message]:
            return [one for one in self.all(kind) if words in one.title + one.text]

        def wrong() -> str:
            return f"nobody was told: {kind} {words}; told were {[one.title for one in self.all()]}"

        messages: list[Message] = until(wrong, found, deadline_s)
        return messages[0]

"""A setting that can't be used, as a sentence."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Problem:
    """A setting that can't be used: where it is, what it says, why not, and what to run."""

    key: str
    value: Any
    reason: str
    next_command: str

    def sentence(self, secret_keys: Collection[str]) -> str:
        shown = "" if self.value is None else f" = {_brief(self.value)}"
        if re.split(r"[.\[]", self.key)[0] in secret_keys:
            shown = " = [REDACTED]"
        return f"till:{self.key}{shown}: {_sentence(self.reason)} Next: {self.next_command}"


def _sentence(reason: str) -> str:
    return reason if reason.endswith("?") else f"{reason.rstrip('. ')}."


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."

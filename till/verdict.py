"""What a check says: yes or no, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What a gate said, and why."""

    gate: str
    passed: bool
    sentence: str

"""Reads `pins.toml`, the one home of versions, addresses and checksums."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

PINS_FILE = Path(__file__).with_name("pins.toml")


@cache
def pins() -> dict[str, Any]:
    """The whole document, as tomllib reads it."""
    return tomllib.loads(PINS_FILE.read_text())


def version(tool: str) -> str:
    """The pinned version of a table in `pins.toml`; KeyError for an unknown one."""
    return str(pins()[tool]["version"])


def timeout_s(name: str) -> float:
    """A deadline in seconds by the name it has in `[timeouts]`, without its `_timeout_s`."""
    return float(pins()["timeouts"][f"{name}_timeout_s"])

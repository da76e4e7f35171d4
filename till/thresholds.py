"""The numbers of thresholds.yml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def thresholds() -> dict[str, Any]:
    from ruamel.yaml import YAML

    loaded: dict[str, Any] = YAML(typ="safe").load((Path(__file__).parent / "thresholds.yml").read_text())
    return loaded

"""A host's slots inside a temporary folder."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from till_host.slots import edge, haproxy
from till_host.slots import state as slots

POLICY = {
    "ports": {"blue": 3001, "green": 3002},
    "check_path": "/up",
    "check_interval_ms": 500,
    "check_fall": 3,
    "space_factor": 5,
    "cookie": "till_release",
    "sticky_s": 900,
}
EMPTY = {
    "active": None, "blue": None, "green": None, "canary": None, "sticky": {}, "digests": {}, "checks": {},
    "metrics": {}, "assets": {}, "served": [], "latest": None, "intent": None,
}  # fmt: skip


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paths of the programs inside a temporary folder."""
    (tmp_path / "app.json").write_text(json.dumps(POLICY))
    modules: dict[ModuleType, dict[str, str]] = {
        slots: {"SETTINGS": "app.json", "STATE": "slots.json", "LOCK": "lock"},
        haproxy: {"SOCKET": "haproxy/admin.sock"},
        edge: {
            "EDGE": "haproxy",
            "BACKEND": "haproxy/slots.cfg",
            "TOKENS": "haproxy/tokens.map",
            "GIVEN": "haproxy/given.map",
            "ASSETS": "haproxy/assets.map",
        },
    }
    for module, places in modules.items():
        for name, path in places.items():
            monkeypatch.setattr(module, name, tmp_path / path)
    (tmp_path / "haproxy").mkdir()
    return tmp_path

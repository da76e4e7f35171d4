"""A host's slots inside a temporary folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.programs import load

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
    (tmp_path / "storefront.json").write_text(json.dumps(POLICY))
    for module, places in {
        "till_slots": {"SETTINGS": "storefront.json", "STATE": "slots.json", "LOCK": "lock"},
        "till_haproxy": {"SOCKET": "haproxy/admin.sock"},
        "till_backend": {
            "EDGE": "haproxy",
            "BACKEND": "haproxy/slots.cfg",
            "TOKENS": "haproxy/tokens.map",
            "GIVEN": "haproxy/given.map",
            "ASSETS": "haproxy/assets.map",
        },
    }.items():
        loaded = load("storefront", module)
        monkeypatch.setitem(sys.modules, module, loaded)
        for name, path in places.items():
            monkeypatch.setattr(loaded, name, tmp_path / path)
    (tmp_path / "haproxy").mkdir()
    return tmp_path

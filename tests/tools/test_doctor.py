"""`till doctor`'s checks: a fix for everything that is not there, none for what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import doctor


def test_every_check_has_a_fix_exactly_when_it_fails() -> None:
    checks = doctor.checks()
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert check.ok == (check.fix == ""), check


def test_an_empty_cache_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TILL_CACHE", str(tmp_path))
    found = {check.name: check for check in doctor.checks()}
    for name in (
        "pulumi",
        "pulumi plugin random",
        "node archive",
        "directus bundle",
        "patroni wheels",
        "apprise",
        "programs of hosts",
    ):
        assert not found[name].ok
        assert found[name].fix == "tools/setup"
        assert found[name].came_by == ""

"""What the programs of the nameserver and storefront roles decide, without a host; and specs equal to defaults."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.programs import load

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"
OURS = ("nameserver", "certificates", "edge", "storefront", "acme_ca", "paypal_simulator", "resolver")
POLICY = {
    "ports": {"blue": 3001, "green": 3002},
    "check_path": "/up",
    "check_interval_ms": 500,
    "check_fall": 3,
    "space_factor": 5,
}
EMPTY = {"active": None, "blue": None, "green": None, "digests": {}, "checks": {}, "latest": None, "intent": None}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paths of the programs inside a temporary folder."""
    slots = load("storefront", "till_slots")
    monkeypatch.setitem(sys.modules, "till_slots", slots)
    (tmp_path / "storefront.json").write_text(json.dumps(POLICY))
    for name, path in {
        "SETTINGS": "storefront.json",
        "STATE": "slots.json",
        "LOCK": "lock",
        "EDGE": "haproxy",
        "BACKEND": "haproxy/slots.cfg",
        "SOCKET": "haproxy/admin.sock",
    }.items():
        monkeypatch.setattr(slots, name, tmp_path / path)
    (tmp_path / "haproxy").mkdir()
    return tmp_path


@pytest.mark.parametrize("role", OURS)
def test_spec_equals_defaults(role: str) -> None:
    yaml = YAML(typ="safe")
    defaults = yaml.load(ROLES / role / "defaults" / "main.yml")
    options = yaml.load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults


def weights(text: str) -> dict[str, int]:
    lines = [line.split() for line in text.splitlines() if " weight " in line]
    return {words[1]: int(words[words.index("weight") + 1]) for words in lines}


def test_only_the_active_slot_gets_traffic(host: Path) -> None:
    slots = sys.modules["till_slots"]
    state = {**EMPTY, "active": "green", "blue": "v1.0.0", "green": "v1.1.0"}
    assert weights(slots.backend(state, POLICY)) == {"blue": 0, "green": 100}
    assert weights(slots.backend(EMPTY, POLICY)) == {"blue": 0, "green": 0}


def test_a_slot_without_a_release_is_not_checked_and_each_has_its_own_path(host: Path) -> None:
    text = sys.modules["till_slots"].backend({**EMPTY, "blue": "v1.0.0", "checks": {"blue": "/well"}}, POLICY)
    assert "uri /well" in text and "uri /up" in text
    disabled = [line.split()[1] for line in text.splitlines() if line.endswith(" disabled")]
    assert disabled == ["green"]


def test_a_failed_switch_leaves_the_old_state_on_disk(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    switching, slots = load("storefront", "slots"), sys.modules["till_slots"]
    before = {**EMPTY, "active": "blue", "blue": "v1.0.0", "green": "v1.1.0"}
    slots.save(before)
    slots.render(before)
    # There is no HAProxy behind the socket.
    with pytest.raises(slots.Fault, match="systemctl status haproxy"):
        switching.switch("green")
    assert slots.load()["active"] == "blue"
    assert weights(slots.BACKEND.read_text()) == {"blue": 100, "green": 0}


def test_of_two_slots_with_one_version_the_later_deploy_is_meant(host: Path) -> None:
    switching, slots = load("storefront", "slots"), sys.modules["till_slots"]
    both = {**EMPTY, "active": "blue", "blue": "v1.0.0", "green": "v1.0.0", "latest": "green"}
    assert switching.target(both, "v1.0.0", None) == "green"
    with pytest.raises(slots.Fault, match="no slot holds v9"):
        switching.target(both, "v9.0.0", None)


def test_too_little_room_is_said_with_numbers_and_place(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, slots = load("storefront", "release"), sys.modules["till_slots"]
    monkeypatch.setattr(release, "ROOT", host)
    with pytest.raises(slots.Fault, match=r"no room on \S+: .* has \d+ MiB free, .* needs \d+ MiB; make room"):
        release.room(1 << 50)


def zone_document(records: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {"rrsets": [{"name": r[0], "type": r[1], "ttl": 5, "records": [{"content": r[2]}]} for r in records]}


def test_challenges_under_way_are_not_the_zones_business() -> None:
    zone = load("nameserver", "zone")
    held = zone.held_sets(
        zone_document(
            [
                ("shop.lab.test.", "A", "198.18.0.2"),
                ("_acme-challenge.shop.lab.test.", "TXT", '"x"'),
                ("lab.test.", "SOA", "ns1.lab.test. hostmaster.lab.test. 7 3600 600 604800 5"),
            ]
        )
    )
    assert held == {("shop.lab.test.", "A"): (5, ("198.18.0.2",))}

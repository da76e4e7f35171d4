"""What the programs of the nameserver and storefront roles decide, without a host; and specs equal to defaults."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.programs import load

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"
OURS = ("nameserver", "certificates", "edge", "storefront", "acme_ca", "paypal_simulator", "resolver")


@pytest.mark.parametrize("role", OURS)
def test_spec_equals_defaults(role: str) -> None:
    yaml = YAML(typ="safe")
    defaults = yaml.load(ROLES / role / "defaults" / "main.yml")
    options = yaml.load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults


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

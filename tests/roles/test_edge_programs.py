"""What the programs of the nameserver and app roles decide, without a host; and specs equal to defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from till_host.certificates import certificate as program
from till_host.faults import Fault
from till_host.public_dns import zone
from till_host.slots import release

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"
OURS = ("nameserver", "certificates", "edge", "app", "acme_ca", "paypal_simulator", "resolver")


@pytest.mark.parametrize("role", OURS)
def test_spec_equals_defaults(role: str) -> None:
    yaml = YAML(typ="safe")
    defaults = yaml.load(ROLES / role / "defaults" / "main.yml")
    options = yaml.load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults


def test_too_little_room_is_said_with_numbers_and_place(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "ROOT", host)
    with pytest.raises(Fault, match=r"no room on \S+: .* has \d+ MiB free, .* needs \d+ MiB; make room"):
        release.room(1 << 50)


def zone_document(records: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {"rrsets": [{"name": r[0], "type": r[1], "ttl": 5, "records": [{"content": r[2]}]} for r in records]}


def test_challenges_under_way_are_not_the_zones_business() -> None:
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


def test_an_edge_that_is_away_is_asked_again_and_a_bad_certificate_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "certificate.json").write_text("{}")
    monkeypatch.setattr(program, "SETTINGS", tmp_path / "certificate.json")
    monkeypatch.setattr(program, "ASKED_EVERY_S", 0)
    answers: list[Exception | str] = []

    def served(_: dict[str, Any]) -> str:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    monkeypatch.setattr(program, "served", served)
    away, bad = ConnectionRefusedError("away"), program.NotGood("of another name")
    before = program.NotYet("the one before")
    for words, told, code in (
        (["served", "60"], [away, away, "good"], 0), (["served"], [away], 1), (["served", "0"], [away], 1),
        (["served", "60"], [away, bad], 3), (["served", "60"], [before, "good"], 0), (["served"], [before], 3),
        (["served", "soon"], [], 2), (["renew", "60"], [], 2), ([], [], 2),
    ):  # fmt: skip
        answers[:] = told
        assert (program.main(words), answers) == (code, []), words

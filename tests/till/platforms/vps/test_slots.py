"""Which slot to return to, from what the hosts say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from till.paths import PLAYBOOKS
from till.platforms.vps import ship, slots
from till.platforms.vps.slots import Slots


def test_a_state_file_is_read() -> None:
    text = json.dumps({"active": "green", "blue": "v1.0.0", "green": "v1.1.0", "digests": {}})
    assert slots.parse(text).serving == "v1.1.0"
    assert Slots().serving is None


@pytest.mark.parametrize(
    ("found", "before"),
    [
        ({"alpha": Slots("blue", "v1"), "bravo": Slots("blue", "v1", "v2")}, ("blue", "v1")),
        ({"alpha": Slots(), "bravo": Slots()}, (None, None)),
        ({"alpha": Slots("blue", "v1"), "bravo": Slots("green", "v1", "v2")}, (None, None)),
        ({"alpha": Slots("blue", "v1"), "bravo": Slots()}, (None, None)),
    ],
    ids=["same", "first deploy", "half switched", "a new host"],
)
def test_only_what_all_hosts_serve_is_returned_to(
    found: dict[str, Slots], before: tuple[str | None, str | None]
) -> None:
    assert slots.before_all(found) == before


def test_the_health_gate_is_a_task_of_the_playbook() -> None:
    def names(tasks: list[dict[str, Any]]) -> list[str]:
        return [name for task in tasks for name in (task.get("name", ""), *names(task.get("block", [])))]

    plays = YAML(typ="safe").load((PLAYBOOKS / "deploy.yml").read_text())
    assert ship.HEALTH_GATE in [name for play in plays for name in names(play["tasks"])]

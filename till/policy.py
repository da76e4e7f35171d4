"""The numbers of thresholds.yml, and of the hosts' policy what the runner goes by too."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from till.paths import PLAYBOOKS


@cache
def thresholds() -> dict[str, Any]:
    return loaded(Path(__file__).parent / "thresholds.yml")


@cache
def host_policy() -> dict[str, Any]:
    """What Ansible gives every host (playbooks/group_vars/all/policy.yml)."""
    return loaded(PLAYBOOKS / "group_vars" / "all" / "policy.yml")


def loaded(path: Path) -> dict[str, Any]:
    """A YAML file of policy."""
    from ruamel.yaml import YAML

    found: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return found

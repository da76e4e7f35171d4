"""Policy for hosts, as it stands in the playbooks' group variables."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML

from till.paths import PLAYBOOKS

POLICY: dict[str, Any] = YAML(typ="safe").load(PLAYBOOKS / "group_vars" / "all" / "policy.yml")

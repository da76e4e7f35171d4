"""Prints, as JSON, every Debian package that a role's defaults name. Runs in `.venv`, for its YAML."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tools.paths import CHECKOUT

ROLES = CHECKOUT / "playbooks" / "roles"


def role_packages(roles: Path = ROLES) -> list[str]:
    """The union, sorted, of all lists called `<role>_packages`; templated entries are left to the role."""
    packages: set[str] = set()
    for defaults in roles.glob("*/defaults/main.yml"):
        for name, value in (yaml.safe_load(defaults.read_text()) or {}).items():
            if name.endswith("_packages") and isinstance(value, list):
                packages |= {item for item in value if "{{" not in item}
    return sorted(packages)


if __name__ == "__main__":
    print(json.dumps(role_packages()))

"""What Till's roles would set, read from them: no number stands here a second time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from ruamel.yaml import YAML

CHECKOUT = Path(__file__).resolve().parent.parent
PLAYBOOKS = CHECKOUT / "playbooks"
BARS = CHECKOUT / "benchmarks" / "bars.yml"
TEMPLATE = PLAYBOOKS / "roles" / "pgbackrest" / "templates" / "pgbackrest.conf.j2"
HERE = {"name": "bench", "address": "127.0.0.1"}


def bars(file: Path = BARS) -> dict[str, float]:
    """The bars of a benchmark by name; those of restores are ratios."""
    return {name: float(value) for name, value in _read(file).items()}


def role(name: str) -> dict[str, Any]:
    """A role's values as a host gets them: its defaults, and policy over them."""
    policy = _read(PLAYBOOKS / "group_vars" / "all" / "policy.yml")
    defaults = _read(PLAYBOOKS / "roles" / name / "defaults" / "main.yml")
    return {key: policy.get(key, value) for key, value in defaults.items()}


def restore_processes() -> int:
    """The processes of a restore of Till's: the role's 0 is as many as there are cores."""
    return role("restore")["restore_processes"] or os.cpu_count() or 1


def pgbackrest_conf(data_dir: str, cipher_key: str) -> str:
    """The role's own template for a host that holds both the database and the repository."""
    here = {
        "pgbackrest_name": HERE["name"],
        "pgbackrest_address": HERE["address"],
        "pgbackrest_databases": [HERE],
        "pgbackrest_repositories": [HERE],
        "pgbackrest_databases_here_first": [HERE],
        "pgbackrest_repository": HERE["name"],
        "pgbackrest_holds_repository": True,
        "pgbackrest_holds_database": True,
        "pgbackrest_data_dir": data_dir,
        "pgbackrest_cipher_key": cipher_key,
    }
    # As Ansible renders it; a configuration file has no HTML to escape.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATE.parent),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(TEMPLATE.name).render(role("pgbackrest") | here)


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(file)
    return found

"""Settings that are right, for tests to break one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

CHECKOUT = Path(__file__).resolve().parents[2]
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICYWtnLKo9erYIwgx8p0rBJa5Uf8ilfml69bViAFjDpB"


def stack_file(stack: str) -> dict[str, Any]:
    """The settings of a committed stack file, keys without the namespace, in the file's order."""
    document = YAML(typ="safe").load(CHECKOUT / f"Pulumi.{stack}.yaml")
    return {key.removeprefix("till:"): value for key, value in document["config"].items()}


def as_config(settings: dict[str, Any]) -> dict[str, str]:
    """What Pulumi hands to a program: texts, structures as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}


def filled_in(stack: str) -> dict[str, Any]:
    """A stack file whose placeholders somebody has replaced."""
    settings = stack_file(stack)
    if stack != "lab":
        for host in settings["hosts"]:
            host["hostKey"] = HOST_KEY
        settings |= {"paypalClientId": "AXid", "paypalClientSecret": "canary-paypal", "paypalWebhookId": "WH-1"}
    return settings


@pytest.fixture
def lab() -> dict[str, Any]:
    return filled_in("lab")


@pytest.fixture
def staging() -> dict[str, Any]:
    return filled_in("staging")


@pytest.fixture
def production() -> dict[str, Any]:
    return filled_in("production")


@pytest.fixture
def rented_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for containers of this test alone; all of them are removed at its end."""
    from infra.lab import rent

    name = f"test-{request.node.name}"
    yield name
    rent.give_back(name, rent.default_folder(name))

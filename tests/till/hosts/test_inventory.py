"""The inventory is a function of the contract, and never quietly empty."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.contract import OUTSIDE_ROLES, Contract, Role
from tests.till.conftest import CANARY, HOST_KEY, contract_of, host
from till.errors import UsageError
from till.hosts import inventory
from till.policy import host_policy, thresholds

SSH_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n"

ARTEFACTS = {"till_node_archive": "/cache/node.tar.gz"}


def build(contract: Contract, artefacts: dict[str, str]) -> dict[str, Any]:
    return inventory.build(contract, artefacts, host_policy(), thresholds())


def test_groups_are_roles_and_sites() -> None:
    contract = contract_of(host("alpha"), host("bravo"), host("ops", roles=["database", "etcd"]), outside=True)
    groups = {name: sorted(group["hosts"]) for name, group in build(contract, {})["all"]["children"].items()}
    assert groups["fleet"] == ["alpha", "bravo", "ops"]
    assert groups["edge"] == groups["app"] == ["alpha", "bravo"]
    assert groups["database"] == groups["site_ops"] == ["ops"]
    assert groups["acme_ca"] == groups["site_outside"] == ["outside"]
    assert {role.value for role in Role} <= set(groups)


def test_variables_are_what_the_playbooks_read() -> None:
    document = build(contract_of(host("alpha", port=2222), outside=True), ARTEFACTS)["all"]
    alpha = document["hosts"]["alpha"]
    assert (alpha["ansible_port"], alpha["ansible_user"], alpha["till_site"]) == (2222, "till", "alpha")
    assert alpha["ansible_python_interpreter"] == "/usr/bin/python3"
    assert alpha["till_certificate_key_pem"] == "private key of alpha"
    # Hosts pin each other by the contract, too.
    assert alpha["till_host_key"].startswith("ssh-")
    everywhere = document["vars"]
    assert everywhere["till_secrets"]["postgres_superuser_password"] == CANARY
    assert everywhere["fleet_foreign_names"][0]["names"] == ["outside", "paypal.lab.test", "acme.lab.test"]
    assert everywhere["till_fleet"] == [
        {"name": "alpha", "address": "198.18.7.15", "site": "alpha", "roles": ["edge", "app"]}
    ]
    assert everywhere["till_node_archive"] == "/cache/node.tar.gz"
    assert json.loads(json.dumps(document)) == document


def test_without_an_outside_nothing_plays_it() -> None:
    document = build(contract_of(host("alpha")), {})["all"]
    assert document["vars"]["fleet_foreign_names"] == []
    assert document["children"]["outside"]["hosts"] == {}


def test_known_hosts_pins_the_port_too() -> None:
    lines = inventory.known_hosts(
        contract_of(host("alpha"), host("bravo", port=2222, address="198.18.7.9"))
    ).splitlines()
    assert lines == [f"198.18.7.15 {HOST_KEY}", f"[198.18.7.9]:2222 {HOST_KEY}"]


def test_known_hosts_knows_who_plays_the_outside_too() -> None:
    lines = inventory.known_hosts(contract_of(host("alpha"), outside=True)).splitlines()
    assert lines == [f"198.18.7.15 {HOST_KEY}", f"198.18.7.17 {HOST_KEY}"]


def places(document: object, value: str, path: str = "") -> list[str]:
    """Where in a document a text stands."""
    if isinstance(document, dict):
        return [found for name, inner in document.items() for found in places(inner, value, f"{path}/{name}")]
    if isinstance(document, list):
        return [found for inner in document for found in places(inner, value, path)]
    return [path] if isinstance(document, str) and value in document else []


def test_secrets_stand_where_they_belong_and_nowhere_else() -> None:
    contract = contract_of(host("alpha"), host("bravo"), outside=True, ssh_private_key=SSH_KEY)
    document = build(contract, ARTEFACTS)
    assert places(document, CANARY) == ["/all/vars/till_secrets/postgres_superuser_password"]
    for name in ("alpha", "bravo", "outside"):
        assert places(document, f"private key of {name}") == [f"/all/hosts/{name}/till_certificate_key_pem"]
    # The key that opens every host is ssh's alone: no play can spill it.
    assert places(document, SSH_KEY) == []
    assert CANARY not in inventory.known_hosts(contract)


def test_no_hosts_are_refused() -> None:
    with pytest.raises(UsageError, match="stack lab has no hosts") as raised:
        build(contract_of(host("alpha")).model_copy(update={"hosts": ()}), {})
    assert raised.value.next_command == ".venv/bin/pulumi up -s lab"


def test_host_without_a_certificate_is_refused() -> None:
    with pytest.raises(UsageError, match="alpha has no certificate"):
        build(contract_of(host("alpha"), host_certificates={}), {})


@pytest.mark.parametrize(
    ("pattern", "empty"),
    [("edge", []), ("database", ["database"]), ("fleet:database", ["database"]), ("all", []), ("outside", [])],
)
def test_empty_groups_are_found(pattern: str, empty: list[str]) -> None:
    document = build(contract_of(host("alpha")), {})
    found = inventory.empty_groups([{"name": "Play", "hosts": pattern}], document)
    assert found == [("Play", group) for group in empty]


@pytest.mark.parametrize("role", sorted(OUTSIDE_ROLES))
def test_the_real_world_has_no_host_that_plays_it(role: Role) -> None:
    document = build(contract_of(host("alpha")), {})
    assert inventory.empty_groups([{"hosts": role.value}], document) == []

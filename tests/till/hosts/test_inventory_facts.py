"""What plays know of the fleet is computed from contract and policy, and provision.yml computes nothing itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.contract import Contract
from tests.till.conftest import contract_of, host
from till.hosts import inventory_facts
from till.paths import PLAYBOOKS
from till.policy import host_policy, loaded, thresholds

SITE = ["edge", "app", "database", "etcd", "nameserver"]
OPS = ["database", "etcd", "nameserver", "backup_repository", "monitoring", "log_store"]
ARTEFACTS = {"till_directus_bundle": "/cache/directus-11.17.4-06924487.tar.gz"}
OFFSITE = {
    "endpoint": "s3.example.com", "port": 443, "bucket": "b", "region": "r", "path": "/p", "uri_style": "host",
}  # fmt: skip
LIVE = {"mode": "live", "api_url": "https://paypal.example", "client_id": "c", "webhook_id": "w"}


def fleet_of(**changed: Any) -> Contract:
    return contract_of(
        host("alpha", address="192.0.2.1", roles=SITE),
        host("bravo", address="192.0.2.2", roles=SITE, port=2222),
        host("ops", address="192.0.2.3", roles=OPS),
        **changed,
    )


def fleet_facts(contract: Contract) -> dict[str, Any]:
    return dict(inventory_facts.compute_fleet(contract, host_policy(), thresholds(), ARTEFACTS))


def host_facts(contract: Contract, name: str) -> dict[str, Any]:
    one = next(one for one in contract.hosts if one.name == name)
    return dict(inventory_facts.compute_host(contract, one, host_policy()))


def names(members: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in members]


def test_members_by_role_stand_in_the_contracts_order() -> None:
    facts = fleet_facts(fleet_of())
    assert names(facts["fleet_databases"]) == names(facts["fleet_etcd_members"]) == ["alpha", "bravo", "ops"]
    assert names(facts["fleet_edges"]) == ["alpha", "bravo"]
    assert names(facts["fleet_backup_repositories"]) == ["ops"]
    assert facts["fleet_backup_repository"]["port"] == host_policy()["policy_pgbackrest_port"]
    assert facts["fleet_ssh_ports"] == {"alpha": 22, "bravo": 2222, "ops": 22}
    assert facts["fleet_monitoring_address"] == "192.0.2.3"
    assert names(facts["fleet_config_backup_clients"]) == ["alpha", "bravo"]


def test_the_clock_of_leases_is_preferred_where_no_customers_are() -> None:
    assert fleet_facts(fleet_of())["fleet_etcd_preferred_leader"] == "ops"
    assert fleet_facts(contract_of(host("alpha", roles=SITE)))["fleet_etcd_preferred_leader"] == "alpha"


def test_a_host_opens_the_ports_of_its_roles_once() -> None:
    ops = host_facts(fleet_of(), "ops")
    assert ops["till_public_ports"] == ["tcp/53", "udp/53"]
    assert ops["till_fleet_ports"].count("tcp/9100") == 1
    # Both the database and the repository ask for it, and policy writes it as a template.
    assert ops["till_fleet_ports"].count("tcp/{{ policy_pgbackrest_port }}") == 1
    assert "tcp/443" in host_facts(fleet_of(), "alpha")["till_public_ports"]


def test_who_plays_the_outside_opens_its_own_ports_and_none_of_the_fleets() -> None:
    contract = fleet_of(outside=True)
    assert contract.outside is not None
    found = inventory_facts.compute_host(contract, contract.outside.host, host_policy())
    assert "tcp/8443" in found["till_public_ports"]
    assert found["till_fleet_ports"] == found["till_config_backup_paths"] == []
    assert found["till_resolver_clients"] == [contract.outside.host.address, "192.0.2.3"]


@pytest.mark.parametrize(("name", "first"), [("alpha", "192.0.2.1"), ("bravo", "192.0.2.2"), ("ops", "192.0.2.3")])
def test_a_host_asks_its_own_member_of_the_consensus_store_first(name: str, first: str) -> None:
    found = host_facts(fleet_of(), name)["till_etcd_nearest"]
    assert (found[0], sorted(found)) == (first, ["192.0.2.1", "192.0.2.2", "192.0.2.3"])


def test_only_the_preferred_site_watches_for_a_failback() -> None:
    watches = {name: host_facts(fleet_of(), name)["till_failback_watches"] for name in ("alpha", "bravo", "ops")}
    assert watches == {"alpha": True, "bravo": False, "ops": False}
    beside = contract_of(host("alpha", roles=SITE), host("store", site="alpha", roles=["database"]))
    assert host_facts(beside, "store")["till_failback_watches"] is False


def test_hosts_of_one_site_know_each_other_and_not_themselves() -> None:
    beside = contract_of(
        host("alpha", address="192.0.2.1", roles=SITE), host("store", address="192.0.2.9", site="alpha", roles=OPS)
    )
    assert host_facts(beside, "alpha")["till_site_neighbour_addresses"] == ["192.0.2.9"]
    assert names(host_facts(beside, "alpha")["till_neighbours"]) == ["store"]


def test_the_log_store_sends_its_logs_to_nobody() -> None:
    assert host_facts(fleet_of(), "alpha")["till_log_targets"] == ["ops"]
    assert host_facts(fleet_of(), "ops")["till_log_targets"] == []


def test_what_plays_the_outside_is_known_where_it_plays() -> None:
    simulated = fleet_facts(fleet_of(outside=True))
    assert simulated["fleet_paypal_simulator"]["name"] == "paypal.lab.test"
    assert simulated["fleet_csp"]["form_targets"] == ["https://paypal.lab.test:8443"]
    # Its ACME directory has a certificate that the world knows.
    assert (simulated["fleet_acme_root"], simulated["fleet_acme_root_url"]) == ({}, "")
    acme = {"directory_url": "https://acme.lab.test:14000/dir", "email": "a@lab.test", "ca_pem": "-----BEGIN"}
    own_ca = fleet_facts(fleet_of(outside=True, acme=acme))
    assert own_ca["fleet_acme_root_url"] == "https://acme.lab.test:15000/roots/0"
    assert "url" not in own_ca["fleet_acme_root"]


def test_production_has_its_own_calendar_window_and_origins() -> None:
    contract = fleet_of(
        environment="production", paypal=LIVE, backup_offsite=OFFSITE, public_env={"NEXT_PUBLIC_GA_ID": "G-1"}
    )
    facts, policy = fleet_facts(contract), host_policy()
    assert facts["fleet_deployment_window"] == policy["policy_deployment_window"]["production"]
    assert facts["fleet_drills"]["failover_on_calendar"] == policy["policy_drill_failover_on_calendar"]["production"]
    assert set(facts["fleet_drills"]["max_age_h"]) == {"restore", "restore-offsite", "failover"}
    assert set(fleet_facts(fleet_of())["fleet_drills"]["max_age_h"]) == {"restore"}
    assert facts["fleet_paypal_simulator"] == {}
    sources = policy["policy_csp_sources"]
    assert facts["fleet_csp"] == {
        "script_sources": sources["paypal"]["live"] + sources["analytics"],
        "form_targets": sources["paypal"]["live"],
    }


def test_a_drill_starts_the_directus_that_hosts_get() -> None:
    start = fleet_facts(fleet_of())["fleet_drills"]["directus"]["start"]
    assert start == "/opt/directus/11.17.4-06924487/node_modules/@directus/api/dist/start.js"


# Made by an earlier play of the same run; no contract knows them.
KEYS_MADE_BY_HOSTS = {"faults_drill_public_key", "release_watch_public_key", "config_repository_public_keys"}
# Which of two a role gets.
CHOICES = {"nameserver_dnssec_key"}


def role_variables(play: dict[str, Any]) -> dict[str, Any]:
    imported = [task.get("vars", {}) for task in play.get("tasks", [])]
    return {
        name: value
        for given in [*(role.get("vars", {}) for role in play.get("roles", [])), *imported]
        for name, value in given.items()
    }


def expressions(value: object) -> list[str]:
    if isinstance(value, dict):
        return [found for inner in value.values() for found in expressions(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in expressions(inner)]
    return re.findall(r"{{(.*?)}}", value, re.DOTALL) if isinstance(value, str) else []


def test_provision_names_what_roles_get_and_computes_nothing() -> None:
    plays: Any = loaded(PLAYBOOKS / "provision.yml")
    given = {name: value for play in plays for name, value in role_variables(play).items()}
    assert len(given) > 100
    computed = {
        name
        for name, value in given.items()
        for found in expressions(value)
        if not re.fullmatch(r"[\w.]+(\[\w+\])?", found.strip())
    }
    # A choice by the group that a play's host is in is the play's own.
    assert computed - {"notify_watches", "notify_takes_alerts"} == KEYS_MADE_BY_HOSTS | CHOICES

"""What plays need to know of the fleet beyond the contract's own words: pure functions of contract and policy.

`provision.yml` names these and computes nothing itself. A value of policy that is a template stays one: Ansible
renders it where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from infra.contract import Contract, Host, Role

Policy = Mapping[str, Any]
# The test CA makes a new root at each start and tells it on its management port.
ACME_ROOT = {"port": 15000, "path": "/roots/0"}
PAYPAL_SIMULATOR_PORT = 8443
ETCD_HERE = "https://127.0.0.1:2379"
CA_FILE = "/etc/till/pki/ca.pem"
# A copy of the database beside an edge comes first; one without is promoted only when nothing else is left.
PRIORITY_BESIDE_EDGE, PRIORITY_ALONE = 100, 1


def member(host: Host) -> dict[str, Any]:
    """A host as settings of roles name it."""
    return {
        "name": host.name,
        "address": host.address,
        "site": host.site,
        "roles": [role.value for role in host.roles],
    }


def compute_fleet(contract: Contract, policy: Policy, thresholds: Policy, artefacts: Mapping[str, str]) -> Policy:
    """Variables that are the same on every host, all named fleet_*.

    Raises KeyError where policy has nothing for the contract's environment.
    """
    environment, outside = contract.environment, contract.outside
    databases, etcd, edges = (_with(contract, role) for role in (Role.DATABASE, Role.ETCD, Role.EDGE))
    repositories = _with(contract, Role.BACKUP_REPOSITORY)
    simulated = outside is not None and contract.paypal.mode == "simulator"
    return {
        "fleet_thresholds": thresholds,
        "fleet_addresses": [host.address for host in contract.hosts],
        "fleet_ssh_ports": {host.name: host.port for host in contract.hosts},
        "fleet_host_keys": {host.name: host.host_key for host in contract.hosts},
        "fleet_databases": [member(host) for host in databases],
        "fleet_database_sites": {host.name: host.site for host in databases},
        "fleet_etcd_members": [member(host) for host in etcd],
        "fleet_etcd_addresses": [host.address for host in etcd],
        # Its lease clock must not die with a site: every lease restarts when the etcd leader dies.
        "fleet_etcd_preferred_leader": next(
            (host.name for host in etcd if Role.EDGE not in host.roles), etcd[0].name if etcd else ""
        ),
        "fleet_edges": [member(host) for host in edges],
        "fleet_nameservers": [member(host) for host in _with(contract, Role.NAMESERVER)],
        "fleet_nameserver_addresses": [host.address for host in _with(contract, Role.NAMESERVER)],
        "fleet_backup_repositories": [member(host) for host in repositories],
        "fleet_backup_repository": {**member(repositories[0]), "port": policy["policy_pgbackrest_port"]}
        if repositories
        else {},
        # The first host with that role keeps its own configuration too, without SFTP.
        "fleet_config_repository": _place(repositories[0]) if repositories else {},
        "fleet_config_backup_clients": [member(host) for host in contract.hosts if host not in repositories[:1]],
        "fleet_monitoring_address": next((host.address for host in _with(contract, Role.MONITORING)), ""),
        "fleet_bootstrap_host": next((host.name for host in _with(contract, Role.APP)), ""),
        "fleet_log_level": contract.public_env.get("LOG_LEVEL", "info"),
        # Loopback, where certificates are renewed beside a nameserver.
        "fleet_update_sources": ["127.0.0.1", *(host.address for host in contract.hosts)],
        "fleet_outside_address": outside.host.address if outside else "",
        "fleet_foreign_names": [
            {
                "address": outside.host.address,
                "names": [outside.host.name, outside.paypal_name, outside.acme_name],
            }
        ]
        if outside
        else [],
        "fleet_foreign_addresses": [[name, outside.host.address] for name in (outside.paypal_name, outside.acme_name)]
        if outside
        else [],
        **_acme_root(contract),
        "fleet_acme_ca_file": CA_FILE if contract.acme.ca_pem else "",
        "fleet_paypal_simulator": {
            "name": outside.paypal_name,
            "address": outside.host.address,
            "port": PAYPAL_SIMULATOR_PORT,
        }
        if outside and simulated
        else {},
        "fleet_csp": _csp(contract, policy["policy_csp_sources"]),
        "fleet_deployment_window": policy["policy_deployment_window"][environment],
        "fleet_drills": {
            "restore_on_calendar": policy["policy_drill_restore_on_calendar"][environment],
            "restore_offsite_on_calendar": policy["policy_drill_restore_offsite_on_calendar"][environment],
            "failover_on_calendar": policy["policy_drill_failover_on_calendar"][environment],
            "failover_load": {
                **policy["policy_drill_failover_load"],
                "purchases_per_s": policy["policy_drill_failover_purchases_per_s"][environment],
            },
            "offsite": contract.backup_offsite is not None,
            "max_age_h": _drill_ages(contract, policy["policy_drill_max_age_h"]),
            "directus": _drill_directus(policy["policy_drill_directus"], artefacts),
        },
    }


def compute_host(contract: Contract, host: Host, policy: Policy) -> Policy:
    """Variables of one host, by what it is for."""
    roles = {role.value for role in host.roles} | ({"fleet"} if host in contract.hosts else set())
    etcd = [one.address for one in _with(contract, Role.ETCD)]
    edges, logs = _with(contract, Role.EDGE), _with(contract, Role.LOG_STORE)
    return {
        "till_public_ports": _flat(policy["policy_public_ports"], roles),
        "till_fleet_ports": _flat(policy["policy_fleet_ports"], roles),
        "till_config_backup_paths": _flat(policy["policy_config_backup_paths"], roles),
        "till_config_backup_dumps": _flat(policy["policy_config_backup_dumps"], roles),
        "till_neighbours": [member(one) for one in contract.hosts if one.name != host.name],
        "till_site_neighbour_addresses": [
            one.address for one in contract.hosts if one.site == host.site and one.name != host.name
        ],
        # A member on this host answers first.
        "till_etcd_nearest": sorted(etcd, key=lambda address: address != host.address),
        "till_leader_key": {"key": f"/service/till-{contract.stack}/leader", "endpoint": ETCD_HERE}
        if Role.ETCD in host.roles
        else {},
        # A resolver answers its own host, and the one that holds drills.
        "till_resolver_clients": [host.address, *(one.address for one in _with(contract, Role.BACKUP_REPOSITORY))],
        "till_log_targets": [one.name for one in logs if one.name != host.name],
        "till_failover_priority": PRIORITY_BESIDE_EDGE if Role.EDGE in host.roles else PRIORITY_ALONE,
        # The first edge's site is the preferred one.
        "till_failback_watches": bool(edges) and Role.EDGE in host.roles and host.site == edges[0].site,
    }


def _with(contract: Contract, role: Role) -> list[Host]:
    return [host for host in contract.hosts if role in host.roles]


def _place(host: Host) -> dict[str, Any]:
    return {"name": host.name, "address": host.address, "port": host.port, "host_key": host.host_key}


def _flat(by_role: Mapping[str, list[Any]], roles: set[str]) -> list[Any]:
    """What a policy by role says of all roles of a host, each once."""
    found: list[Any] = []
    for role in sorted(roles):
        found += [one for one in by_role.get(role, []) if one not in found]
    return found


def _acme_root(contract: Contract) -> dict[str, Any]:
    outside = contract.outside
    if outside is None or not contract.acme.ca_pem:
        return {"fleet_acme_root": {}, "fleet_acme_root_url": ""}
    root = {"name": outside.acme_name, "address": outside.host.address, **ACME_ROOT}
    return {
        "fleet_acme_root": root,
        "fleet_acme_root_url": f"https://{outside.acme_name}:{ACME_ROOT['port']}{ACME_ROOT['path']}",
    }


def _csp(contract: Contract, sources: Mapping[str, Any]) -> dict[str, list[str]]:
    """Origins that the shop's pages may use besides their own (Content-Security-Policy)."""
    paypal = list(sources["paypal"][contract.paypal.mode])
    return {
        "script_sources": paypal + (sources["analytics"] if contract.public_env.get("NEXT_PUBLIC_GA_ID") else []),
        "form_targets": paypal + ([contract.paypal.api_url] if contract.paypal.mode == "simulator" else []),
    }


def _drill_ages(contract: Contract, ages: Mapping[str, Any]) -> dict[str, int]:
    return {
        **ages["here"],
        **(ages["offsite"] if contract.backup_offsite else {}),
        **ages["failover"][contract.environment],
    }


def _drill_directus(policy: Mapping[str, Any], artefacts: Mapping[str, str]) -> dict[str, Any]:
    """How a drill starts the Directus that reads restored orders: that of the bundle which hosts get."""
    bundle = PurePath(artefacts.get("till_directus_bundle", "")).name
    release = bundle.removeprefix("directus-").removesuffix(".tar.gz")
    return {**policy, "start": f"/opt/directus/{release}/node_modules/@directus/api/dist/start.js"}

"""The inventory: a pure function of the contract."""

from __future__ import annotations

from typing import Any

from infra.contract import OUTSIDE_ROLES, Contract, Host, Role
from till.errors import UsageError
from till.hosts import inventory_facts

PYTHON = "/usr/bin/python3"
# A stack whose outside is the real world has no host that plays it.
MAY_BE_EMPTY = {role.value for role in OUTSIDE_ROLES} | {"outside"}


def build(
    contract: Contract, artefacts: dict[str, str], policy: dict[str, Any], thresholds: dict[str, Any]
) -> dict[str, Any]:
    """The inventory as Ansible's YAML plugin reads it, secrets in clear.

    `artefacts` are paths on the controller (till_node_archive and so on); `policy` is that of hosts. Raises UsageError
    without hosts.
    """
    if not contract.hosts:
        raise UsageError(f"stack {contract.stack} has no hosts", f".venv/bin/pulumi up -s {contract.stack}")
    outside = contract.outside.host if contract.outside else None
    everyone = [*contract.hosts, *([outside] if outside else [])]
    groups: dict[str, list[str]] = {role.value: [] for role in Role}
    groups["fleet"] = [host.name for host in contract.hosts]
    if outside is None or outside.name != "outside":
        # Plays say `hosts: outside`: a host of that name is found without a group.
        groups["outside"] = [outside.name] if outside else []
    for host in everyone:
        for role in host.roles:
            groups[role.value].append(host.name)
        groups.setdefault(f"site_{host.site}", []).append(host.name)
    return {
        "all": {
            "hosts": {
                host.name: {**_host_vars(contract, host), **inventory_facts.compute_host(contract, host, policy)}
                for host in everyone
            },
            "vars": {
                **_fleet_vars(contract),
                **inventory_facts.compute_fleet(contract, policy, thresholds, artefacts),
                **artefacts,
            },
            "children": {name: {"hosts": {host: {} for host in hosts}} for name, hosts in sorted(groups.items())},
        }
    }


def _host_vars(contract: Contract, host: Host) -> dict[str, Any]:
    certificate = contract.host_certificates.get(host.name)
    if certificate is None:
        raise UsageError(
            f"host {host.name} has no certificate in the contract", f".venv/bin/pulumi up -s {contract.stack}"
        )
    return {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_python_interpreter": PYTHON,
        "till_host": host.name,
        "till_address": host.address,
        "till_ssh_port": host.port,
        "till_host_key": host.host_key,
        "till_site": host.site,
        "till_certificate_pem": certificate.certificate_pem,
        "till_certificate_key_pem": certificate.private_key_pem.get_secret_value(),
    }


def _fleet_vars(contract: Contract) -> dict[str, Any]:
    return {
        "till_stack": contract.stack,
        "till_environment": contract.environment,
        "till_zone": contract.names.zone,
        "till_shop_name": contract.names.shop,
        "till_admin_name": contract.names.admin,
        "till_api_name": contract.names.api,
        "till_dnssec": contract.names.dnssec,
        "till_fleet": [inventory_facts.member(host) for host in contract.hosts],
        "till_paypal": contract.paypal.model_dump(),
        "till_acme": contract.acme.model_dump(),
        "till_settlement": contract.settlement.model_dump(),
        "till_backup_offsite": contract.backup_offsite.model_dump() if contract.backup_offsite else {},
        "till_notify_channels": contract.channels(),
        "till_public_env": contract.public_env,
        "till_release_key_pem": contract.release_key.public_key_pem,
        "till_internal_ca_pem": contract.internal_ca_pem,
        "till_secrets": {name: secret.get_secret_value() for name, secret in contract.secrets.items()},
    }


def empty_groups(plays: list[dict[str, Any]], document: dict[str, Any]) -> list[tuple[str, str]]:
    """Play name and group of each play that is for a group without hosts."""
    groups = {name: group["hosts"] for name, group in document["all"]["children"].items()}
    return [
        (str(play.get("name", "")), group)
        for play in plays
        for group in str(play.get("hosts", "")).replace(",", ":").split(":")
        if group in groups and not groups[group] and group not in MAY_BE_EMPTY
    ]


def known_hosts(contract: Contract) -> str:
    """OpenSSH known_hosts lines: each host by its pinned key, nobody else."""
    outside = [contract.outside.host] if contract.outside else []
    return "".join(f"{_pattern(host)} {host.host_key}\n" for host in [*contract.hosts, *outside])


def _pattern(host: Host) -> str:
    return host.address if host.port == 22 else f"[{host.address}]:{host.port}"

"""How a stack is: hosts, URLs, versions, who leads, certificates. What can't be asked is named, never raised."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from infra.contract import Contract, Host, Role
from till.changes import lock_connection
from till.errors import TillError
from till.fan_out import at_once
from till.hosts import programs as host_programs
from till.hosts import reach
from till.hosts.session import Session
from till.observe import probe, replication
from till.policy import host_policy, thresholds
from till.public_dns import lookup, zone

UNKNOWN = "unknown"
SITE_ORDER = "/var/lib/till-site-order/order"


def urls(contract: Contract) -> dict[str, str]:
    """Public addresses for people."""
    names = contract.names
    return {
        "shop": f"https://{names.shop}/",
        "admin": f"https://{names.admin}/",
        "api": f"https://{names.api}/api/health",
    }


def hosts(contract: Contract) -> list[dict[str, Any]]:
    """The stack's hosts as the JSON contract of verbs names them."""
    return [
        {
            "name": host.name,
            "address": host.address,
            "port": host.port,
            "user": host.user,
            "site": host.site,
            "roles": [role.value for role in host.roles],
        }
        for host in contract.hosts
    ]


def sites(session: Session, health: dict[str, int | None], leader: str | None, answered: list[str]) -> dict[str, Any]:
    """Each site with an edge: the status of its edges' deep health, whether it leads, whether names lead to it."""
    found: dict[str, Any] = {}
    for host in session.contract.hosts:
        if Role.EDGE in host.roles:
            site = found.setdefault(host.site, {"health": {}, "leads": False, "answered": host.site in answered})
            site["health"][host.name] = health.get(host.name)
        if host.name == leader and host.site in found:
            found[host.site]["leads"] = True
    return found


def ordered_since(session: Session, unreached: Collection[str] = ()) -> dict[str, str]:
    """When each nameserver's order of sites last changed (ISO 8601)."""

    def one(host: Host) -> str:
        told = session.ssh(host.name, f"stat -c %Y {SITE_ORDER}").stdout.strip()
        return datetime.fromtimestamp(int(told), UTC).isoformat() if told.isdigit() else "unknown"

    hosts = session.contract.hosts
    return at_once(one, [host for host in hosts if Role.NAMESERVER in host.roles and host.name not in unreached])


def programs(session: Session, unreached: Collection[str] = ()) -> dict[str, str]:
    """The version of Till's programs that each host runs; "" where it has none, UNKNOWN where it can't be asked."""

    def one(host: Host) -> str:
        # By itself `readlink` fails with 1 where there is no link.
        done = session.ssh(host.name, f"readlink {host_programs.PACKAGE}")
        return done.stdout.strip().rpartition("/")[2] if done.returncode in (0, 1) else UNKNOWN

    return at_once(one, [host for host in session.contract.hosts if host.name not in unreached])


def outdated(stack: str, versions: Mapping[str, str]) -> list[str]:
    """Faults of the programs on hosts: none there, or not the same on all of them. Pure."""
    next_command = f"till provision {stack}"
    bare = [name for name, version in versions.items() if not version]
    faults = [f"host {name} has no programs of Till: {next_command}" for name in bare]
    there = {name: version for name, version in versions.items() if version not in ("", UNKNOWN)}
    if len(set(there.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in there.items())
        faults.append(f"hosts run different versions of Till's programs ({told}): {next_command}")
    return faults


def certificates(contract: Contract, trust: ssl.SSLContext | None) -> dict[str, Any]:
    """End of the certificate that each edge serves for the shop's name, or why there is none."""

    def one(host: Host) -> dict[str, str]:
        assert trust is not None
        try:
            timeout_s = thresholds()["status"]["timeout_s"]
            served = probe.served_certificate(contract.names.shop, host.address, trust, timeout_s)
        except OSError as reason:
            return {"fault": str(reason)}
        return {"not_after": served["notAfter"]}

    return at_once(one, [host for host in contract.hosts if trust is not None and Role.EDGE in host.roles])


def names(contract: Contract, unreached: Collection[str] = ()) -> dict[str, Any]:
    """What each nameserver answers for the shop's name, whether all answer alike, and the sites that are answered."""
    asked = [host for host in contract.hosts if host.name not in unreached]
    told = lookup.ask_nameservers(contract.model_copy(update={"hosts": asked}), contract.names.shop)
    answers = [entry["addresses"] for entry in told.values() if "addresses" in entry]
    site_of = {host.address: host.site for host in contract.hosts}
    return {
        "name": contract.names.shop,
        # For a moment after a switch they may differ, each going by its own checks: told, but no fault.
        "agree": len(answers) == len(told) and all(one == answers[0] for one in answers),
        "sites": sorted({site_of.get(address, address) for addresses in answers for address in addresses}),
        "nameservers": told,
    }


def unheard(told: dict[str, Any]) -> list[str]:
    """Faults of the nameservers: who does not answer, and serials that are out of step."""
    faults = [f"nameserver {server} {one['fault']}" for server, one in told["nameservers"].items() if "fault" in one]
    serials = {server: one["serial"] for server, one in told["nameservers"].items() if "serial" in one}
    if len(set(serials.values())) > 1:
        faults.append(f"the nameservers' serials are out of step: {serials}")
    return faults


def unreachable(contract: Contract) -> dict[str, str]:
    """Hosts where no SSH server answers, and why."""
    everyone = [*contract.hosts, *([contract.outside.host] if contract.outside else [])]
    timeout_s = thresholds()["status"]["timeout_s"]
    told = at_once(lambda host: reach.ask_ssh(host.address, host.port, timeout_s), everyone)
    return {host: reason for host, reason in told.items() if reason}


def of(session: Session) -> dict[str, Any]:
    """Everything, ok being whether all of it is well."""
    contract = session.contract
    unreached = unreachable(contract)
    faults = [f"host {name} can't be reached: {reason}" for name, reason in unreached.items()]
    try:
        trust: ssl.SSLContext | None = probe.public_trust(contract)
    except (TillError, OSError) as reason:
        trust = None
        faults.append(str(reason).splitlines()[0])
    reached = contract.model_copy(update={"hosts": [host for host in contract.hosts if host.name not in unreached]})
    versions = probe.served_versions(reached, trust) if trust else {}
    data = replication.read_replication_status(session, unreached)
    faults += [f"edge {edge} serves no release" for edge, served in versions.items() if served is None]
    if data["leader"] is None:
        faults.append(f"no database leads: {data.get('fault', 'none of the members')}")
    else:
        faults += replication.behind(contract, data["members"])
    told = names(contract, unreached)
    faults += unheard(told)
    faults += zone.astray(contract, data["leader"], told["nameservers"])
    for server, since in [] if contract.dns_provider else ordered_since(session, unreached).items():
        told["nameservers"][server]["since"] = since
    running = programs(session, unreached)
    faults += outdated(contract.stack, running)
    health = probe.served_statuses(reached, trust, host_policy()["policy_health_path"]) if trust else {}
    change: dict[str, Any] | None = None
    try:
        change = lock_connection.read_holder(session, unreached)
    except TillError as reason:
        faults.append(reason.message)
    found = certificates(reached, trust)
    faults += [f"edge {edge}: certificate: {entry['fault']}" for edge, entry in found.items() if "fault" in entry]
    return {
        "ok": not faults,
        "faults": faults,
        "hosts": [{**host, "reachable": host["name"] not in unreached} for host in hosts(contract)],
        "urls": urls(contract),
        "versions": versions,
        "programs": running,
        "database": data,
        "change": change,
        "sites": sites(session, health, data["leader"], told["sites"]),
        "certificates": found,
        "dns": told,
    }

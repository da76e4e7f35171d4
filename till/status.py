"""How a stack is: hosts, URLs, versions, who leads, certificates. What can't be asked is named, never raised."""

from __future__ import annotations

import json
import ssl
from collections.abc import Collection
from typing import Any

from infra.contract import Contract, Host, Role
from till import probe
from till.errors import TillError
from till.thresholds import thresholds
from till.workplace import Workplace

PATRONI_LIST = "/opt/patroni/bin/patronictl -c /etc/patroni/patroni.yml list -f json"


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


def database(workplace: Workplace, unreached: Collection[str] = ()) -> dict[str, Any]:
    """Members as Patroni tells them, asked from the first database host that answers."""
    faults: list[str] = []
    for host in workplace.contract.hosts:
        if Role.DATABASE not in host.roles or host.name in unreached:
            continue
        answer = workplace.ssh(host.name, PATRONI_LIST)
        if answer.returncode != 0:
            faults.append(f"{host.name}: {answer.stderr.strip()[-200:]}")
            continue
        members = json.loads(answer.stdout)
        leader = next((member["Member"] for member in members if member["Role"] == "Leader"), None)
        return {
            "leader": leader,
            "members": [
                {
                    "name": member["Member"],
                    "role": member["Role"],
                    "state": member["State"],
                    "lag_mb": member.get("Replay Lag"),
                }
                for member in members
            ],
        }
    return {"leader": None, "members": [], "fault": "; ".join(faults) or "no database host"}


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

    return probe.at_once(one, [host for host in contract.hosts if trust is not None and Role.EDGE in host.roles])


def names(contract: Contract, unreached: Collection[str] = ()) -> dict[str, Any]:
    """What each nameserver answers for the shop's name, whether all answer alike, and the sites that are answered."""
    asked = [host for host in contract.hosts if host.name not in unreached]
    told = probe.nameservers(contract.model_copy(update={"hosts": asked}), contract.names.shop)
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
    told = probe.at_once(lambda host: probe.ssh(host.address, host.port, timeout_s), everyone)
    return {host: reason for host, reason in told.items() if reason}


def of(workplace: Workplace) -> dict[str, Any]:
    """Everything, ok being whether all of it is well."""
    contract = workplace.contract
    unreached = unreachable(contract)
    faults = [f"host {name} can't be reached: {reason}" for name, reason in unreached.items()]
    try:
        trust: ssl.SSLContext | None = probe.public_trust(contract)
    except (TillError, OSError) as reason:
        trust = None
        faults.append(str(reason).splitlines()[0])
    reached = contract.model_copy(update={"hosts": [host for host in contract.hosts if host.name not in unreached]})
    versions = probe.served_versions(reached, trust) if trust else {}
    data = database(workplace, unreached)
    faults += [f"edge {edge} serves no release" for edge, served in versions.items() if served is None]
    if data["leader"] is None:
        faults.append(f"no database leads: {data.get('fault', 'none of the members')}")
    told = names(contract, unreached)
    faults += unheard(told)
    found = certificates(reached, trust)
    faults += [f"edge {edge}: certificate: {entry['fault']}" for edge, entry in found.items() if "fault" in entry]
    return {
        "ok": not faults,
        "faults": faults,
        "hosts": [{**host, "reachable": host["name"] not in unreached} for host in hosts(contract)],
        "urls": urls(contract),
        "versions": versions,
        "database": data,
        "certificates": found,
        "dns": told,
    }

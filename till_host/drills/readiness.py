"""Whether a stack is well enough to be broken, and whether it is again: a look, and its verdict."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from till_host.drills.hosts import status
from till_host.faults import Fault
from till_host.https import Place
from till_host.public_dns.answers import led_to, servers
from till_host.ssh import at_once

MB = 1 << 20
TIMEOUT_S = 5


@dataclass(frozen=True)
class Seen:
    """Patroni's members; each edge's status of the deep health (0: no answer); where each server of names leads; what
    each other host says of faults, or why it says nothing."""

    members: list[dict[str, Any]]
    health: dict[str, int]
    names: dict[str, str]
    faults: dict[str, dict[str, Any] | Fault] = field(default_factory=dict)

    @property
    def leader(self) -> str:
        """The one that leads, "" when none or more than one does."""
        found = [one["name"] for one in self.members if one["role"] == "leader" and one["state"] == "running"]
        return found[0] if len(found) == 1 else ""


def site_of(rules: dict[str, Any], name: str) -> str:
    return next((str(host["site"]) for host in rules["hosts"] if host["name"] == name), "")


def with_role(rules: dict[str, Any], role: str, site: str = "") -> list[str]:
    """Names of the hosts with a role, of all sites or of one."""
    return [host["name"] for host in rules["hosts"] if role in host["roles"] and site in ("", host["site"])]


def unwell(rules: dict[str, Any], seen: Seen, site: str = "") -> list[str]:
    """What is not well, as sentences; none when the stack may be broken. Pure.

    `site`: where it should be led from; without one, from wherever it is.
    """
    leads = site_of(rules, seen.leader)
    found = [f"{host}: {one}" if isinstance(one, Fault) else _broken(host, one) for host, one in seen.faults.items()]
    if not seen.leader:
        found.append("no database leads")
    elif not with_role(rules, "edge", leads) or leads == site_of(rules, rules["here"]):
        found.append(f"the database leads on {seen.leader}, where no edge is or drills are held")
    elif site and leads != site:
        found.append(f"the database leads at {leads}")
    members = {one["name"]: one for one in seen.members}
    found += [f"the database of {name} is no member" for name in with_role(rules, "database") if name not in members]
    found += [_behind(one, rules["lag_max_mb"]) for one in seen.members if one["name"] != seen.leader]
    synchronous = [site_of(rules, one["name"]) for one in seen.members if one["role"] == "sync_standby"]
    if not any(one != leads and with_role(rules, "edge", one) for one in synchronous):
        found.append("no other site with an edge has the synchronous copy")
    found += [f"edge {edge} answers {told or 'nothing'}" for edge, told in seen.health.items() if told != 200]
    found += [f"{who} leads to {told}" for who, told in seen.names.items() if leads and told != leads]
    return [sentence for sentence in found if sentence]


def _broken(host: str, told: dict[str, Any]) -> str:
    if told["restoring"]:
        return f"a restore is under way on {host}"
    return f"{told['fault']['kind']} stands on {host}" if told["fault"] else ""


def _behind(member: dict[str, Any], lag_max_mb: float) -> str:
    name, lag = member["name"], member.get("lag", "unknown")
    if member["state"] != "streaming":
        return f"the database of {name} is {member['role']}, {member['state']}"
    if not isinstance(lag, int) or lag > lag_max_mb * MB:
        return f"the database of {name} lags {lag} bytes"
    return ""


def members(rules: dict[str, Any], trust: ssl.SSLContext) -> list[dict[str, Any]]:
    """As the first Patroni that answers tells them; none when nobody does."""
    for host in rules["hosts"]:
        if "database" not in host["roles"]:
            continue
        place = Place(host["name"], host["address"], trust, rules["patroni_port"])
        try:
            code, body = place.ask("GET", "/cluster", connect_timeout_s=1, timeout_s=TIMEOUT_S)
            if code == 200:
                return list(json.loads(body)["members"])
        except (OSError, HTTPException, ValueError):
            continue
    return []


def look(rules: dict[str, Any], internal: ssl.SSLContext, public: ssl.SSLContext, roads: bool = True) -> Seen:
    """Ask everybody; `roads`: also whether each other host can be asked for faults, and has none."""

    def health(host: str) -> int:
        address = next(one["address"] for one in rules["hosts"] if one["name"] == host)
        place = Place(rules["shop_name"], address, public)
        try:
            return place.ask("GET", rules["health_path"], connect_timeout_s=1, timeout_s=TIMEOUT_S)[0]
        except (OSError, HTTPException):
            return 0

    answers = at_once(with_role(rules, "edge"), health)
    others = [host["name"] for host in rules["hosts"] if host["name"] != rules["here"]]
    return Seen(
        members(rules, internal),
        {edge: code for edge, code in answers.items() if isinstance(code, int)},
        {who: led_to(rules, server) for who, server in servers(rules).items()},
        at_once(others, status) if roads else {},
    )

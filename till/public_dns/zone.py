"""What a zone at a provider must hold for the service names, and what differs from it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infra.contract import Contract, Role

KIND = "A"


@dataclass(frozen=True)
class Record:
    """An A record at the provider; `ttl_s` is None where it does not tell, `identifier` its own name for the record."""

    name: str
    address: str
    ttl_s: int | None
    identifier: str | None = None


@dataclass(frozen=True)
class Change:
    """One call to the provider. "retime" gives a record that stands there the wanted TTL."""

    kind: Literal["create", "retime", "delete"]
    record: Record

    def sentence(self, ttl_s: int) -> str:
        name, address = self.record.name, self.record.address
        if self.kind == "retime":
            return f"{name} A {address}: TTL {self.record.ttl_s} s becomes {ttl_s} s"
        return f"{name} A {address} is {'added' if self.kind == 'create' else 'removed'}"


def service_names(contract: Contract) -> tuple[str, ...]:
    """The names that are Till's at a provider: shop, admin and API, each once."""
    return tuple(dict.fromkeys((contract.names.shop, contract.names.admin, contract.names.api)))


def edges(contract: Contract, site: str) -> tuple[str, ...]:
    """Addresses of a site's edges, sorted."""
    return tuple(sorted(host.address for host in contract.hosts if host.site == site and Role.EDGE in host.roles))


def records(listed: Iterable[Mapping[str, Any]], names: Collection[str]) -> list[Record]:
    """The A records of these names in what dns-lexicon lists, each once: some modules list more than was asked."""
    found: dict[tuple[str, str], Record] = {}
    for one in listed:
        name, ttl_s = str(one["name"]).rstrip(".").lower(), one.get("ttl")
        if one["type"] == KIND and name in names:
            address = str(one["content"])
            found[name, address] = Record(name, address, None if ttl_s is None else int(ttl_s), one.get("id"))
    return list(found.values())


def differences(
    held: Collection[Record], names: Collection[str], addresses: Collection[str], ttl_s: int
) -> list[Change]:
    """The calls after which each name leads to these addresses alone, with this TTL; none when it is so.

    What comes is added before what goes is removed, so that a name is never without an address.
    """
    changes: list[Change] = []
    for name in names:
        there = [record for record in held if record.name == name]
        known = {record.address for record in there}
        changes += [Change("create", Record(name, one, ttl_s)) for one in addresses if one not in known]
        changes += [
            Change("retime", one) for one in there if one.address in addresses and one.ttl_s not in (None, ttl_s)
        ]
        changes += [Change("delete", one) for one in there if one.address not in addresses]
    return changes


def astray(contract: Contract, leader: str | None, told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Faults of names at a provider: who answers with other addresses than the edges of the site that leads.

    `told`: what each nameserver answers, as lookup.ask_nameservers tells it. Own nameservers follow the leader by
    themselves and are none of this. No fault is found while nobody leads, or while the leader is beside no edge.
    """
    site = next((host.site for host in contract.hosts if host.name == leader), "")
    right = set(edges(contract, site))
    if contract.dns_provider is None or not right:
        return []
    wrong = {
        server: ", ".join(one["addresses"]) for server, one in told.items() if set(one.get("addresses", right)) != right
    }
    if not wrong:
        return []
    answers = "; ".join(f"{server}: {addresses}" for server, addresses in wrong.items())
    return [
        f"site {site} leads, and {contract.names.shop} does not lead there ({answers}):"
        f" till failover {contract.stack} --to {site} moves the names"
    ]


def site_to_lead(contract: Contract, leader: str | None, held: Collection[Record]) -> str:
    """The site to which names lead: that of the database's leader where it has an edge.

    Where nobody leads, or the leader is beside no edge: the one site to which all of them lead now, else the first one
    with an edge.
    """
    by_edge = {host.address: host.site for host in contract.hosts if Role.EDGE in host.roles}
    sites = list(dict.fromkeys(by_edge.values()))
    for host in contract.hosts:
        if host.name == leader and host.site in sites:
            return host.site
    now = {by_edge.get(record.address) for record in held}
    (only,) = now if len(now) == 1 else (None,)
    return only or sites[0]

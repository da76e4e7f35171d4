"""Where the shop's name leads, as one nameserver or resolver answers."""

from __future__ import annotations

from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import dns.resolver

SILENCE = "silence"
EMPTY = "empty"


def resolver(rules: dict[str, Any]) -> str:
    """The caching resolver that buyers ask: policy's, or this machine's own."""
    return rules["resolver"] or str(dns.resolver.get_default_resolver().nameservers[0])


def addresses(name: str, server: str, timeout_s: float) -> list[str]:
    """The IPv4 addresses of a name; raises OSError when the server does not answer."""
    try:
        answer = dns.query.udp(dns.message.make_query(name, "A"), server, timeout=timeout_s)
    except dns.exception.DNSException as reason:
        raise OSError(f"{server} does not tell {name}: {type(reason).__name__}") from None
    found = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A]
    return [str(record.address) for rrset in found for record in rrset]


def sites(found: list[str], site_of: dict[str, str]) -> str:
    """ "alpha" or "alpha+bravo"; a foreign address stands for itself. Pure."""
    return "+".join(sorted({site_of.get(address, address) for address in found})) or EMPTY


def led_to(rules: dict[str, Any], server: str, timeout_s: float = 1.0) -> str:
    """The site or sites that a server answers, "empty" or "silence"."""
    site_of = {host["address"]: host["site"] for host in rules["hosts"]}
    try:
        return sites(addresses(rules["shop_name"], server, timeout_s), site_of)
    except OSError:
        return SILENCE


def servers(rules: dict[str, Any]) -> dict[str, str]:
    """Who is asked, with the address: each nameserver of the stack by its host, and the resolver."""
    found = {f"nameserver {host['name']}": host["address"] for host in rules["hosts"] if "nameserver" in host["roles"]}
    return {**found, "resolver": resolver(rules)}

"""What a name leads to, as the nameservers of the public zone tell it. Each question has a deadline."""

from __future__ import annotations

from typing import Any

from infra.contract import Contract
from till.errors import TillError
from till.fan_out import at_once
from till.policy import thresholds
from till.public_dns import authority
from till.public_dns.authority import Nameserver


def _ask(server: Nameserver, name: str, kind: str) -> list[Any]:
    """Records of a name and type that one nameserver tells; raises OSError or dns.exception.DNSException."""
    import dns.message
    import dns.query

    question = dns.message.make_query(name, kind)
    answer = dns.query.udp(question, server.address, timeout=thresholds()["dns"]["query_timeout_s"])
    return [record for rrset in answer.answer for record in rrset if record.rdtype == question.question[0].rdtype]


def resolve(contract: Contract, name: str) -> list[str]:
    """IPv4 addresses of a name, as the public zone's nameservers tell it (the first that answers)."""
    import dns.exception

    faults: list[str] = []
    for server in authority.of(contract):
        try:
            found = [str(record.address) for record in _ask(server, name, "A")]
        except (OSError, dns.exception.DNSException) as reason:
            faults.append(f"{server.name}: {type(reason).__name__}")
            continue
        if found:
            return found
        faults.append(f"{server.name}: no address")
    raise TillError(
        f"{name} does not resolve ({'; '.join(faults) or 'no nameserver'})", f"till provision {contract.stack}"
    )


def ask_nameservers(contract: Contract, name: str) -> dict[str, dict[str, Any]]:
    """By nameserver of the public zone: the sorted addresses of a name and, of own ones, its zone's serial; or a fault.

    A provider's serials are its own affair: they are not kept in step.
    """
    import dns.exception

    own = contract.dns_provider is None

    def one(server: Nameserver) -> dict[str, Any]:
        try:
            addresses = sorted(str(record.address) for kind in ("A", "AAAA") for record in _ask(server, name, kind))
            serials = [int(record.serial) for record in _ask(server, contract.names.zone, "SOA")] if own else []
        except (OSError, dns.exception.DNSException) as reason:
            return {"fault": f"does not answer: {type(reason).__name__}"}
        if not addresses or (own and not serials):
            return {"fault": f"has no {'zone ' + contract.names.zone if own and not serials else 'address of ' + name}"}
        return {"addresses": addresses, **({"serial": serials[0]} if own else {})}

    try:
        return at_once(one, authority.of(contract))
    except TillError as reason:
        return {contract.names.zone: {"fault": f"is not found: {reason.message}"}}

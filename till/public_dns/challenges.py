"""Certificate orders where the zone lives at a provider: their challenges are delegated to the stack's nameservers.

Edges answer DNS-01 by updates of their own nameservers, and no host knows the provider's credentials. So the provider
must send the CA on: an NS record at each challenge's name, which a person makes once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.contract import Contract, Role
from till.errors import UsageError
from till.policy import thresholds
from till.public_dns import authority
from till.public_dns.zone import service_names

if TYPE_CHECKING:
    import dns.message

PREFIX = "_acme-challenge."
TAG = "certificates"


def refuse_undelegated(contract: Contract, tags: str) -> None:
    """UsageError with the records to make, when certificates would be ordered and no CA could find their challenges."""
    if contract.dns_provider is None or (tags and TAG not in tags.split(",")):
        return
    missing = [PREFIX + name for name in service_names(contract) if not _delegates(contract, name)]
    if not missing:
        return
    own = [host for host in contract.hosts if Role.NAMESERVER in host.roles]
    servers = ", ".join(f"{host.name} ({host.address})" for host in own)
    raise UsageError(
        f"zone {contract.names.zone} at {contract.dns_provider.provider} delegates no challenges of certificate orders:"
        f" {', '.join(missing)}",
        f"make NS records at {' and '.join(missing)} that name the stack's nameservers {servers}"
        f" (docs/runbooks/dns.md), then till provision {contract.stack}",
    )


def _delegates(contract: Contract, name: str) -> frozenset[str]:
    """The nameservers to which the first of the provider's that answers delegates a name's challenge."""
    import dns.exception
    import dns.message
    import dns.query

    question = dns.message.make_query(PREFIX + name, "NS")
    faults: list[str] = []
    for server in authority.of(contract):
        try:
            answer = dns.query.udp(question, server.address, timeout=thresholds()["dns"]["query_timeout_s"])
        except (OSError, dns.exception.DNSException) as reason:
            faults.append(f"{server.name}: {type(reason).__name__}")
            continue
        return _told(answer)
    raise UsageError(
        f"no nameserver of zone {contract.names.zone} answers ({'; '.join(faults)})",
        f"see nameservers of till:dnsProvider in Pulumi.{contract.stack}.yaml",
    )


def _told(answer: dns.message.Message) -> frozenset[str]:
    """Targets of NS records at the name that was asked: in the answer, or in a referral's authority section."""
    asked = answer.question[0]
    return frozenset(
        record.target.to_text()
        for rrset in [*answer.answer, *answer.authority]
        if rrset.name == asked.name and rrset.rdtype == asked.rdtype
        for record in rrset
    )

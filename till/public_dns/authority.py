"""Who answers for the public zone with authority: the stack's nameservers, or those of the provider that keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from infra.contract import Contract, Role
from till.errors import TillError
from till.policy import thresholds


@dataclass(frozen=True)
class Nameserver:
    """`name` is the host's or, at a provider, the server's own."""

    name: str
    address: str


def of(contract: Contract) -> list[Nameserver]:
    """All of them; raises TillError when a provider's can't be found out."""
    if contract.dns_provider is None:
        return [Nameserver(host.name, host.address) for host in contract.hosts if Role.NAMESERVER in host.roles]
    return list(_of_provider(contract.names.zone, contract.dns_provider.nameservers, contract.stack))


@cache
def _of_provider(zone: str, given: tuple[str, ...], stack: str) -> tuple[Nameserver, ...]:
    """Those that the settings give, else those of the zone's NS records; one address of each."""
    import dns.exception
    import dns.inet
    import dns.resolver

    lifetime_s = thresholds()["dns"]["query_timeout_s"]
    try:
        names = given or tuple(
            sorted(
                record.target.to_text(omit_final_dot=True)
                for record in dns.resolver.resolve(zone, "NS", lifetime=lifetime_s)
            )
        )
        return tuple(
            Nameserver(
                name,
                name
                if dns.inet.is_address(name)
                else next(iter(dns.resolver.resolve(name, "A", lifetime=lifetime_s))).address,
            )
            for name in names
        )
    except (OSError, dns.exception.DNSException) as reason:
        raise TillError(
            f"the nameservers of zone {zone} can't be found out: {type(reason).__name__}",
            f"name them in till:dnsProvider (nameservers) in Pulumi.{stack}.yaml, or mend this machine's resolver",
        ) from None

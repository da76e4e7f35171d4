"""Where the names of a stack lead when its zone lives at a provider. Own nameservers decide by themselves (ADR 16)."""

from __future__ import annotations

from typing import Any

from infra.contract import Contract, Host
from till.errors import TillError
from till.hosts.session import Session
from till.observe import replication
from till.progress import Progress
from till.public_dns import provider
from till.public_dns.zone import edges, service_names, site_to_lead

TAG = "nameserver"


def lead(contract: Contract, site: str, progress: Progress) -> list[str]:
    """Make the names at the provider lead to a site, and tell what changed; nothing where there is no provider.

    Raises TillError when the provider did not do it.
    """
    if contract.dns_provider is None:
        return []
    changes = provider.converge(contract, service_names(contract), edges(contract, site))
    for change in changes:
        progress.say(change)
    return changes


def planned(contract: Contract, site: str) -> list[str]:
    """What `lead` would change; nothing where there is no provider."""
    if contract.dns_provider is None:
        return []
    return provider.planned(contract, service_names(contract), edges(contract, site))


def follow(contract: Contract, leader: Host, progress: Progress, measured: dict[str, Any]) -> None:
    """The names after a leader that has moved; raises TillError with what was measured until then."""
    try:
        lead(contract, leader.site, progress)
    except TillError as reason:
        raise TillError(
            f"{leader.name} leads, but the names don't follow: {reason.message}",
            f"till failover {contract.stack} --to {leader.site}: it moves the names alone", measured,
        ) from None  # fmt: skip


def provision(session: Session, progress: Progress, tags: str, check: bool) -> dict[str, Any]:
    """Make the names at the provider lead to the site that leads, or only tell what differs.

    Returns {"names": {"site", "changes"}}; {} where there is no provider or the tags are for something else.
    """
    contract = session.contract
    if contract.dns_provider is None or (tags and TAG not in tags.split(",")):
        return {}
    names = service_names(contract)
    leader = replication.read_replication_status(session)["leader"]
    site = site_to_lead(contract, leader, provider.read_records(contract, names))
    if check:
        changes = planned(contract, site)
        for change in changes:
            progress.say(f"would change: {change}")
    else:
        changes = lead(contract, site, progress)
    return {"names": {"site": site, "changes": changes}}

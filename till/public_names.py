"""Where the names of a stack lead when its zone lives at a provider. Own nameservers decide by themselves (ADR 16)."""

from __future__ import annotations

from typing import Any

from infra.contract import Contract
from till import dns_provider, status
from till.progress import Progress
from till.public_zone import edges, service_names, site_to_lead
from till.workplace import Workplace

TAG = "nameserver"


def lead(contract: Contract, site: str, progress: Progress) -> list[str]:
    """Make the names at the provider lead to a site, and tell what changed; nothing where there is no provider.

    Raises TillError when the provider did not do it.
    """
    if contract.dns_provider is None:
        return []
    changes = dns_provider.converge(contract, service_names(contract), edges(contract, site))
    for change in changes:
        progress.say(change)
    return changes


def provision(workplace: Workplace, progress: Progress, tags: str, check: bool) -> dict[str, Any]:
    """Make the names at the provider lead to the site that leads, or only tell what differs.

    Returns {"names": {"site", "changes"}}; {} where there is no provider or the tags are for something else.
    """
    contract = workplace.contract
    if contract.dns_provider is None or (tags and TAG not in tags.split(",")):
        return {}
    names = service_names(contract)
    leader = status.database(workplace)["leader"]
    site = site_to_lead(contract, leader, dns_provider.held(contract, names))
    if check:
        changes = dns_provider.planned(contract, names, edges(contract, site))
        for change in changes:
            progress.say(f"would change: {change}")
    else:
        changes = lead(contract, site, progress)
    return {"names": {"site": site, "changes": changes}}

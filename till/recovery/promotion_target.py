"""Which copy of the database may lead next, as planned: chosen or refused by what a stack told. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from infra.contract import Contract, Host, Role
from till.errors import GateSaidNo, HostUnreachable, Refused, UsageError
from till.recovery import restore

# What a copy of the database is called that follows (Patroni's words).
FOLLOWS, SYNCHRONOUS = ("Replica", "Sync Standby"), "Sync Standby"


class NotYet(GateSaidNo):
    """Copies stream, but too few of them are close, or an edge answers, but not well: a moment may mend it."""


@dataclass(frozen=True)
class Seen:
    """How a stack is before a move: Patroni's leader and members (as `till status` tells them), hosts without SSH and
    why, the status of each edge's deep health (None: no answer), restores that are not ended."""

    leader: str
    members: list[dict[str, Any]]
    unreached: dict[str, str] = field(default_factory=dict)
    health: dict[str, int | None] = field(default_factory=dict)
    unfinished: dict[str, dict[str, Any]] = field(default_factory=dict)


def sites(contract: Contract) -> list[str]:
    """Sites that can lead: with an edge and a copy of the database; the preferred one first."""

    def of(role: Role) -> list[str]:
        return [host.site for host in contract.hosts if role in host.roles]

    return [site for site in dict.fromkeys(of(Role.EDGE)) if site in of(Role.DATABASE)]


def preferred(contract: Contract) -> str:
    """The site that the zone names first while nothing else is known: that of the first edge."""
    return next(host.site for host in contract.hosts if Role.EDGE in host.roles)


def site_of(contract: Contract, name: str) -> str:
    return next(host.site for host in contract.hosts if host.name == name)


def target(contract: Contract, seen: Seen, site: str, lag_max_mb: float) -> Host | None:
    """The host that is to lead so that `site` does; None when it does already. Pure.

    Raises UsageError for a site that can't lead, HostUnreachable where the leader's host is gone, Refused while a
    restore is under way, GateSaidNo when the site is not well enough or no other copy would follow (NotYet where
    that may pass by itself).
    """
    stack = contract.stack
    refuse_unknown_site(contract, site)
    _has_living_leader(contract, seen)
    if site_of(contract, seen.leader) == site:
        return None
    for host, begun in seen.unfinished.items():
        raise Refused(
            f"a restore to {begun.get('to')} is unfinished on {host} ({begun.get('phase')})",
            restore.command(contract, begun.get("to", "latest"), host, begun.get("repository", 1)),
        )
    _healthy_edge(contract, seen, site)
    copies = [one for one in seen.members if one["name"] != seen.leader and one["name"] not in seen.unreached]
    follow = [one for one in copies if _behind(one, lag_max_mb) == ""]
    here = [one for one in follow if site_of(contract, one["name"]) == site]
    if not here:
        at_site = [one for one in copies if site_of(contract, one["name"]) == site]
        told = "; ".join(_behind(one, lag_max_mb) for one in at_site)
        told = told or "its host is not reached or its database is no member"
        error = NotYet if any(map(_streams, at_site)) else GateSaidNo
        raise error(f"site {site} has no copy that could lead: {told}", f"till status {stack}")
    # The one that PostgreSQL waits for at each commit is first: it misses nothing.
    chosen = min(here, key=lambda one: one["role"] != SYNCHRONOUS)
    databases = [host for host in contract.hosts if Role.DATABASE in host.roles]
    if len(databases) > 2 and len(follow) < 2:
        error = NotYet if sum(map(_streams, copies)) > 1 else GateSaidNo
        raise error(
            f"only {chosen['name']} follows {seen.leader} closely: after the move no copy would be synchronous",
            f"till status {stack}",
        )
    return next(host for host in contract.hosts if host.name == chosen["name"])


def refuse_unknown_site(contract: Contract, site: str) -> None:
    """UsageError for a site that can't lead."""
    if site not in (able := sites(contract)):
        raise UsageError(
            f"site {site!r} has no edge with a database in stack {contract.stack}",
            f"till failover {contract.stack} --to {' or '.join(able)}",
        )


def leads_well(seen: Seen) -> bool:
    """Whether a leader is there that could hand over."""
    leads = next((one for one in seen.members if one["name"] == seen.leader), None)
    return seen.leader not in seen.unreached and leads is not None and bool(leads["state"] == "running")


def _has_living_leader(contract: Contract, seen: Seen) -> None:
    if leads_well(seen):
        return
    elects = "nothing is moved: where a majority of hosts is alive, Patroni elects a new leader by itself"
    again = f"till status {contract.stack}; till failover {contract.stack} --to SITE --force does not wait for it"
    if seen.leader in seen.unreached:
        why = f"{seen.leader}, which leads, can't be reached ({seen.unreached[seen.leader]})"
        raise HostUnreachable(f"{why}; {elects}", again)
    raise GateSaidNo(f"no database leads just now; {elects}", again)


def _healthy_edge(contract: Contract, seen: Seen, site: str) -> None:
    edges = [host.name for host in contract.hosts if host.site == site and Role.EDGE in host.roles]
    if not any(seen.health.get(edge) == 200 for edge in edges):
        told = ", ".join(f"{edge} answers {seen.health.get(edge) or 'nothing'}" for edge in edges)
        error = NotYet if any(seen.health.get(edge) for edge in edges) else GateSaidNo
        raise error(f"no edge of site {site} is well: {told}", f"till status {contract.stack}")


def _streams(member: dict[str, Any]) -> bool:
    return member["role"] in FOLLOWS and member["state"] == "streaming"


def _behind(member: dict[str, Any], lag_max_mb: float) -> str:
    """Empty when a copy follows closely enough to lead, else why not."""
    name, lag = member["name"], member["lag_mb"]
    if not _streams(member):
        return f"{name} is {member['role']}, {member['state']}"
    if not isinstance(lag, (int, float)):
        return f"how far {name} lags is {lag or 'unknown'}"
    return f"{name} lags {lag} MB, {lag_max_mb} are allowed" if lag > lag_max_mb else ""


def refuse_unconfirmed(
    contract: Contract, leader: str, verb: str, site: str, confirmation: str, force: bool = False
) -> None:
    """Refused unless the stack's name was typed, where payments are real."""
    if contract.environment == "production" and confirmation != contract.stack:
        to = f" --to {site}" if verb == "failover" else ""
        said = f"{leader or 'the old leader'} is said to be gone" if force else f"the database is alive on {leader}"
        raise Refused(
            f"payments of {contract.stack} are real: {said}, and writes would pause while {site} takes the lead",
            f"till {verb} {contract.stack}{to}{' --force' if force else ''} --confirm {contract.stack}",
        )

"""A planned move of the database's leader, and with it of the names, to another site. What it may move to is pure."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from infra.contract import Contract, Host, Role
from till import host_program, probe, restore, smoke, status
from till.errors import GateSaidNo, HostUnreachable, Refused, TillError, UsageError
from till.progress import Progress
from till.thresholds import host_policy, thresholds
from till.workplace import Workplace

POLL_INTERVAL_S = 0.2
# What a copy of the database is called that follows (Patroni's words).
FOLLOWS, SYNCHRONOUS = ("Replica", "Sync Standby"), "Sync Standby"


@dataclass(frozen=True)
class Seen:
    """How a stack is before a move: Patroni's leader and members (as `till status` tells them), hosts without SSH and
    why, the status of each edge's deep health (None: no answer), restores that are not ended."""

    leader: str
    members: list[dict[str, Any]]
    unreached: dict[str, str] = field(default_factory=dict)
    health: dict[str, int | None] = field(default_factory=dict)
    unfinished: dict[str, dict[str, Any]] = field(default_factory=dict)


def look(workplace: Workplace) -> Seen:
    """Ask everybody; changes nothing."""
    contract = workplace.contract
    unreached = status.unreachable(contract)
    told = status.database(workplace, unreached)
    health = probe.served_statuses(contract, probe.public_trust(contract), host_policy()["policy_health_path"])
    return Seen(told["leader"] or "", told["members"], unreached, health, restore.unfinished(workplace))


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
    restore is under way, GateSaidNo when the site is not well enough or no other copy would follow.
    """
    stack, able = contract.stack, sites(contract)
    if site not in able:
        raise UsageError(
            f"site {site!r} has no edge with a database in stack {stack}",
            f"till failover {stack} --to {' or '.join(able)}",
        )
    _has_living_leader(contract, seen)
    if site_of(contract, seen.leader) == site:
        return None
    for host, begun in seen.unfinished.items():
        raise Refused(
            f"a restore to {begun.get('to')} is unfinished on {host} ({begun.get('phase')})",
            f"till restore {stack} --to '{begun.get('to')}' --host {host} --confirm {stack}",
        )
    _healthy_edge(contract, seen, site)
    copies = [one for one in seen.members if one["name"] != seen.leader and one["name"] not in seen.unreached]
    follow = [one for one in copies if _behind(one, lag_max_mb) == ""]
    here = [one for one in follow if site_of(contract, one["name"]) == site]
    if not here:
        faults = [_behind(one, lag_max_mb) for one in copies if site_of(contract, one["name"]) == site]
        told = "; ".join(faults) or "its host is not reached or its database is no member"
        raise GateSaidNo(f"site {site} has no copy that could lead: {told}", f"till status {stack}")
    # The one that PostgreSQL waits for at each commit is first: it misses nothing.
    chosen = min(here, key=lambda one: one["role"] != SYNCHRONOUS)
    databases = [host for host in contract.hosts if Role.DATABASE in host.roles]
    if len(databases) > 2 and len(follow) < 2:
        raise GateSaidNo(
            f"only {chosen['name']} follows {seen.leader} closely: after the move no copy would be synchronous",
            f"till status {stack}",
        )
    return next(host for host in contract.hosts if host.name == chosen["name"])


def _has_living_leader(contract: Contract, seen: Seen) -> None:
    elects = "nothing is moved: where a majority of hosts is alive, Patroni elects a new leader by itself"
    again = f"till status {contract.stack}"
    if seen.leader in seen.unreached:
        why = f"{seen.leader}, which leads, can't be reached ({seen.unreached[seen.leader]})"
        raise HostUnreachable(f"{why}; {elects}", again)
    leads = next((one for one in seen.members if one["name"] == seen.leader), None)
    if leads is None or leads["state"] != "running":
        raise GateSaidNo(f"no database leads just now; {elects}", again)


def _healthy_edge(contract: Contract, seen: Seen, site: str) -> None:
    edges = [host.name for host in contract.hosts if host.site == site and Role.EDGE in host.roles]
    if not any(seen.health.get(edge) == 200 for edge in edges):
        told = ", ".join(f"{edge} answers {seen.health.get(edge) or 'nothing'}" for edge in edges)
        raise GateSaidNo(f"no edge of site {site} is well: {told}", f"till status {contract.stack}")


def _behind(member: dict[str, Any], lag_max_mb: float) -> str:
    """Empty when a copy follows closely enough to lead, else why not."""
    name, lag = member["name"], member["lag_mb"]
    if member["role"] not in FOLLOWS or member["state"] != "streaming":
        return f"{name} is {member['role']}, {member['state']}"
    if not isinstance(lag, (int, float)):
        return f"how far {name} lags is {lag or 'unknown'}"
    return f"{name} lags {lag} MB, {lag_max_mb} are allowed" if lag > lag_max_mb else ""


def refuse_unconfirmed(contract: Contract, leader: str, verb: str, site: str, confirmation: str) -> None:
    """Refused unless the stack's name was typed, where payments are real."""
    if contract.environment == "production" and confirmation != contract.stack:
        to = f" --to {site}" if verb == "failover" else ""
        raise Refused(
            f"the database of {contract.stack} is alive on {leader}; writes would pause while it moves to {site}",
            f"till {verb} {contract.stack}{to} --confirm {contract.stack}",
        )


def run(workplace: Workplace, leader: str, to: Host, progress: Progress) -> dict[str, Any]:
    """Move, wait until names and database are there, buy something.

    Returns promoted_s, synchronous_s and write_pause_s as the host measured them; dns_switch_s and rto_s from the
    request until every reachable nameserver leads there, and until something was bought. Raises GateSaidNo with
    Patroni's words when it refused and nothing moved, TillError when a later step failed.
    """
    contract, policy = workplace.contract, thresholds()["failover"]
    began, over, again = time.monotonic(), threading.Event(), f"till status {contract.stack}"
    with ThreadPoolExecutor(max_workers=1) as pool:
        names = pool.submit(_led_to, contract, to.site, began + policy["dns_deadline_s"], over)
        try:
            progress.say(f"{leader} hands over to {to.name}")
            measured: dict[str, Any] = host_program.ask(
                workplace, to.name, "switchover", leader, str(policy["promotion_deadline_s"]),
                timeout_s=policy["promotion_deadline_s"] + 30, next_command=again,
            )  # fmt: skip
            if "refused" in measured:
                raise GateSaidNo(f"{leader} still leads, Patroni says: {measured['refused']}", again)
        except BaseException:
            over.set()
            raise
        progress.say(f"{to.name} leads after {measured['promoted_s']} s, writes paused {measured['write_pause_s']} s")
        led_at = names.result()
    if led_at is None:
        raise TillError(
            f"{to.name} leads, but the names don't lead to site {to.site} after {policy['dns_deadline_s']} s",
            again, measured,
        )  # fmt: skip
    measured["dns_switch_s"] = round(led_at - began, 2)
    progress.say(f"every nameserver leads to {to.site} after {measured['dns_switch_s']} s")
    try:
        measured["order"] = smoke.run(contract, progress)
    except TillError as reason:
        raise TillError(f"{to.name} leads, but nothing can be bought: {reason.message}", again, measured) from None
    measured["rto_s"] = round(time.monotonic() - began, 2)
    return measured


def _led_to(contract: Contract, site: str, deadline: float, over: threading.Event) -> float | None:
    """When every nameserver that answers led to this site's edges alone; None at the deadline."""
    edges = {host.address for host in contract.hosts if host.site == site and Role.EDGE in host.roles}
    while not over.is_set() and time.monotonic() < deadline:
        told = probe.nameservers(contract, contract.names.shop).values()
        heard = [set(one["addresses"]) for one in told if "addresses" in one]
        if heard and all(addresses <= edges for addresses in heard):
            return time.monotonic()
        over.wait(POLL_INTERVAL_S)
    return None

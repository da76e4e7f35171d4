"""A planned move of the database's leader, and with it of the names, to another site."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from infra.contract import Contract, Host, Role
from till.checks import purchase
from till.errors import GateSaidNo, TillError
from till.hosts import programs
from till.hosts.session import Session
from till.observe import probe, replication, status
from till.policy import host_policy, thresholds
from till.progress import Progress
from till.public_dns import lookup
from till.recovery import promotion_target, public_names, restore
from till.recovery.promotion_target import SYNCHRONOUS, Seen

POLL_INTERVAL_S = 0.2
# A look asks every host.
CATCH_UP_INTERVAL_S = 1.0
# Of servers that are not the stack's own.
PROVIDER_POLL_INTERVAL_S = 1.0


def look(session: Session) -> Seen:
    """Ask everybody; changes nothing."""
    contract = session.contract
    unreached = status.unreachable(contract)
    told = replication.read_replication_status(session, unreached)
    health = probe.served_statuses(contract, probe.public_trust(contract), host_policy()["policy_health_path"])
    begun = restore.unfinished(restore.read_progress(session))
    return Seen(told["leader"] or "", told["members"], unreached, health, begun)


def target(session: Session, seen: Seen, site: str, progress: Progress) -> tuple[Seen, Host | None]:
    """The host that is to lead (successor.target, and as it raises) and the look that chose it.

    What may pass gets `failover.catch_up_deadline_s`: how far a copy lags is some seconds old when Patroni tells it,
    and one slow answer of Directus is a 503 for a second.
    """
    policy, said = thresholds()["failover"], False
    deadline = time.monotonic() + policy["catch_up_deadline_s"]
    while True:
        try:
            return seen, promotion_target.target(session.contract, seen, site, policy["lag_max_mb"])
        except promotion_target.NotYet as reason:
            if time.monotonic() > deadline:
                raise
            if not said:
                progress.say(f"{reason.message}; waiting")
                said = True
        time.sleep(CATCH_UP_INTERVAL_S)
        seen = look(session)


def run(session: Session, leader: str, to: Host, progress: Progress) -> dict[str, Any]:
    """Move, wait until names and database are there, buy something.

    Returns promoted_s, synchronous_s and write_pause_s as the host measured them; dns_switch_s and rto_s from the
    request until every reachable nameserver leads there, and until something was bought. Raises GateSaidNo with
    Patroni's words when it refused and nothing moved, TillError when a later step failed.
    """
    contract, dns_deadline_s = session.contract, _dns_deadline_s(session.contract)
    leader = _made_synchronous(session, leader, to.name, progress)
    began, over = time.monotonic(), threading.Event()
    with ThreadPoolExecutor(max_workers=1) as pool:
        names = pool.submit(_led_to, contract, to.site, began + dns_deadline_s, over)
        try:
            measured = _hand_over(session, leader, to.name, progress)
            public_names.follow(contract, to, progress, measured)
            led_at = names.result()
        except BaseException:
            over.set()
            raise
    return {**measured, **_served(contract, to, led_at, began, progress, measured)}


def led(contract: Contract, leader: Host, began: float, progress: Progress, measured: dict[str, Any]) -> dict[str, Any]:
    """Where the leader has moved already: wait for names, buy something; dns_switch_s, order, rto_s since `began`."""
    public_names.follow(contract, leader, progress, measured)
    deadline = time.monotonic() + _dns_deadline_s(contract)
    led_at = _led_to(contract, leader.site, deadline, threading.Event())
    return _served(contract, leader, led_at, began, progress, measured)


def _served(
    contract: Contract, leader: Host, led_at: float | None, began: float, progress: Progress, measured: dict[str, Any]
) -> dict[str, Any]:
    again = f"till status {contract.stack}"
    if led_at is None:
        raise TillError(
            f"{leader.name} leads, but the names don't lead to site {leader.site} after {_dns_deadline_s(contract)} s",
            again, measured,
        )  # fmt: skip
    dns_switch_s = round(led_at - began, 2)
    progress.say(f"every nameserver leads to {leader.site} after {dns_switch_s} s")
    facts = {**measured, "dns_switch_s": dns_switch_s}
    try:
        order = purchase.run(contract, progress)
    except TillError as reason:
        raise TillError(f"{leader.name} leads, but nothing can be bought: {reason.message}", again, facts) from None
    return {"dns_switch_s": dns_switch_s, "order": order, "rto_s": round(time.monotonic() - began, 2)}


def _hand_over(session: Session, leader: str, to: str, progress: Progress) -> dict[str, Any]:
    """The move itself, by the new leader's host; GateSaidNo with Patroni's words when nothing moved."""
    deadline_s, again = thresholds()["failover"]["promotion_deadline_s"], f"till status {session.contract.stack}"
    progress.say(f"{leader} hands over to {to}")
    measured: dict[str, Any] = programs.run_host_program(
        session, to, "switchover", leader, str(deadline_s), timeout_s=deadline_s + 30, next_command=again
    )
    if "refused" in measured:
        raise GateSaidNo(f"{leader} still leads, Patroni says: {measured['refused']}", again)
    progress.say(f"{to} leads after {measured['promoted_s']} s, writes paused {measured['write_pause_s']} s")
    return measured


def _made_synchronous(session: Session, leader: str, to: str, progress: Progress) -> str:
    """Patroni hands over to the synchronous copy only; returns who leads when that is the wanted one.

    One that has just come back becomes it by itself. Where another one stays it (a leader without a site has two equal
    copies), that one leads in between.
    """
    waited_for = _synchronous(session, to)
    if waited_for != to and waited_for:
        progress.say(f"{waited_for} is the synchronous copy of {leader}, so it leads in between")
        _hand_over(session, leader, waited_for, progress)
        leader, waited_for = waited_for, _synchronous(session, to)
    if waited_for != to:
        raise GateSaidNo(
            f"{leader} leads, and {to} does not become its synchronous copy", f"till status {session.contract.stack}"
        )
    return leader


def _synchronous(session: Session, wanted: str) -> str:
    """The synchronous copy: the wanted one as soon as it is that, else who is at the deadline; "" for none."""
    deadline = time.monotonic() + thresholds()["failover"]["synchronous_deadline_s"]
    while True:
        members = replication.read_replication_status(session)["members"]
        found = next((str(one["name"]) for one in members if one["role"] == SYNCHRONOUS), "")
        if found == wanted or time.monotonic() > deadline:
            return found
        time.sleep(POLL_INTERVAL_S)


def _dns_deadline_s(contract: Contract) -> float:
    policy = thresholds()["failover"]
    return float(policy["dns_deadline_s" if contract.dns_provider is None else "provider_dns_deadline_s"])


def _led_to(contract: Contract, site: str, deadline: float, over: threading.Event) -> float | None:
    """When every nameserver that answers led to this site's edges alone; None at the deadline."""
    edges = {host.address for host in contract.hosts if host.site == site and Role.EDGE in host.roles}
    while not over.is_set() and time.monotonic() < deadline:
        told = lookup.ask_nameservers(contract, contract.names.shop).values()
        heard = [set(one["addresses"]) for one in told if "addresses" in one]
        if heard and all(addresses <= edges for addresses in heard):
            return time.monotonic()
        over.wait(POLL_INTERVAL_S if contract.dns_provider is None else PROVIDER_POLL_INTERVAL_S)
    return None

"""A move of the leader away from a host that is gone: its key released where nothing can be lost, names, a purchase."""

from __future__ import annotations

import time
from typing import Any

from infra.contract import Contract, Role
from till.errors import GateSaidNo, Refused, TillError
from till.hosts import programs
from till.hosts.session import Session
from till.policy import thresholds
from till.progress import Progress
from till.recovery import failover, promotion_target, restore
from till.recovery.promotion_target import SYNCHRONOUS, Seen

POLL_INTERVAL_S = 0.2
RELEASE_TIMEOUT_S = 30


def refuse_living(contract: Contract, seen: Seen, site: str) -> None:
    """A planned move loses nothing and stops the leader in order; a living leader would take its key back."""
    raise Refused(
        f"{seen.leader}, which leads, answers and runs: it can be moved as planned",
        f"till failover {contract.stack} --to {site}; a host that can't be helped is switched off first",
    )


def run(session: Session, seen: Seen, site: str, progress: Progress) -> dict[str, Any]:
    """Have the site lead without the old leader's host.

    Returns `released` (whether the key went before its lease's end), `reason`, promoted_s, dns_switch_s and rto_s from
    the request on. Raises GateSaidNo where no majority of the consensus store is left, or no copy may lead; TillError
    when a later step failed.
    """
    contract, began = session.contract, time.monotonic()
    policy = thresholds()["failover"]
    if reason := no_majority(contract, seen):
        raise GateSaidNo(reason, f"till status {contract.stack}")
    measured: dict[str, Any] = _release(session, seen, progress)
    leader = _elected(session, seen, began + policy["promotion_deadline_s"])
    measured["promoted_s"] = round(time.monotonic() - began, 2)
    progress.say(f"{leader} leads after {measured['promoted_s']} s")
    if promotion_target.site_of(contract, leader) != site:
        host = _other(session, site, began + 2 * policy["promotion_deadline_s"])
        progress.say(f"{leader} was elected, which is not at {site}")
        return {**measured, **failover.run(session, leader, host, progress)}
    leads = next(host for host in contract.hosts if host.name == leader)
    return {**measured, **failover.led(contract, leads, began, progress, measured)}


def _release(session: Session, seen: Seen, progress: Progress) -> dict[str, Any]:
    """Ask the synchronous copy's host to release the key; where it may not, Patroni's lease ends by itself."""
    copy = next((one["name"] for one in seen.members if one["role"] == SYNCHRONOUS), "")
    if not seen.leader:
        return {"released": False, "reason": "nobody leads any more"}
    if not copy or copy in seen.unreached:
        return {"released": False, "reason": "no synchronous copy is reached"}
    told: dict[str, Any] = programs.run_host_program(
        session, copy, "lease-release", "now", seen.leader,
        timeout_s=RELEASE_TIMEOUT_S, next_command=f"till status {session.contract.stack}",
    )  # fmt: skip
    progress.say(f"{copy}: {'released' if told['released'] else 'not released'}: {told['reason']}")
    return told


def _elected(session: Session, seen: Seen, deadline: float) -> str:
    """Who leads now, and not on a host that is gone."""
    while (found := restore.leader(session)) in ("", *seen.unreached):
        if time.monotonic() > deadline:
            reason = "nobody was elected: no copy holds every acknowledged payment (runbook failover)"
            raise GateSaidNo(reason, f"till status {session.contract.stack}")
        time.sleep(POLL_INTERVAL_S)
    return found


def no_majority(contract: Contract, seen: Seen) -> str:
    """Why nobody can be elected by what is left of the consensus store; empty where a majority is. Pure."""
    stores = [host.name for host in contract.hosts if Role.ETCD in host.roles]
    alive = [name for name in stores if name not in seen.unreached]
    if 2 * len(alive) > len(stores):
        return ""
    return (
        f"nobody can be elected: {len(alive)} of {len(stores)} members of the consensus store are left "
        f"({', '.join(alive) or 'none'}), a majority is needed: bring one more host back (runbook failover)"
    )


def _other(session: Session, site: str, deadline: float) -> Any:
    """The host of the wanted site, when it follows the new leader closely enough."""
    contract, policy = session.contract, thresholds()["failover"]
    while True:
        try:
            host = promotion_target.target(contract, failover.look(session), site, policy["lag_max_mb"])
        except TillError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            assert host is not None
            return host

"""Contents page of the verbs that keep the data, bring it back and move it."""

from __future__ import annotations

import time
from typing import Any

from till import redact
from till.changes import fleet_lock
from till.changes.change import change
from till.hosts.session import open_session
from till.progress import Progress
from till.recovery import (
    backup,
    config_backup,
    failback,
    failover,
    forced_failover,
    promotion_target,
    public_names,
    restore,
)
from till.stacks import stack


def backup_now(name: str, kind: str, repository: int, progress: Progress) -> dict[str, Any]:
    """Make a backup: the type that is due, or the one asked for."""
    contract = stack.contract(name)
    with (
        open_session(contract) as session,
        change(name, "backup now", progress, redact.of(contract), session) as facts,
        fleet_lock.hold_fleet_lock(session, "backup now", progress),
    ):
        made = backup.now(session, kind, repository, progress)
        facts |= made
    return made


def backup_list(name: str) -> dict[str, Any]:
    """What the repository holds, and what is not as policy wants it."""
    with open_session(stack.contract(name)) as session:
        return backup.facts(session)


def backup_verify(name: str, repository: int, progress: Progress) -> dict[str, Any]:
    """Read a whole repository, or (0) all there are."""
    with open_session(stack.contract(name)) as session:
        return backup.verify(session, repository, progress)


def backup_config(name: str, progress: Progress) -> dict[str, Any]:
    """Save every host's configuration and the stack's state now."""
    contract = stack.contract(name)
    with (
        open_session(contract) as session,
        change(name, "backup config", progress, redact.of(contract), session) as facts,
        fleet_lock.hold_fleet_lock(session, "backup config", progress),
    ):
        saved = config_backup.push(session, progress)
        facts |= {"hosts": sorted(saved["config_backup"])}
    return saved


def restore_database(
    name: str, to: str, repository: int, host: str, confirmation: str, progress: Progress
) -> dict[str, Any]:
    """Put a restored database in the place of the running one; nothing is replaced before it was proven."""
    contract = stack.contract(name)
    with open_session(contract) as session:
        leads = restore.leader(session)
        restore.refuse_unconfirmed(contract, to, repository, leads, confirmation)
        chosen = restore.target_host(contract, host, leads, restore.read_progress(session))
        with (
            change(name, "restore", progress, redact.of(contract), session) as facts,
            fleet_lock.hold_fleet_lock(session, "restore", progress),
        ):
            facts |= {"to": to, "repository": repository, "host": chosen}
            result = restore.run(session, to, repository, chosen, leads, progress)
            facts |= {key: value for key, value in result.items() if key != "order"}
    return result


def move_leader(name: str, verb: str, site: str, confirmation: str, force: bool, progress: Progress) -> dict[str, Any]:
    """A move of the database's leader and the names: "failover" to a site, "failback" to the preferred one.

    With `force` away from a host that is gone. Where the site leads already, names at a provider may still have to
    follow. Returns from_site, to_site, changed, and where something moved what failover.run or forced.run measured.
    """
    contract = stack.contract(name)
    wanted = site or promotion_target.preferred(contract)
    with open_session(contract) as session:
        seen = failover.look(session)
        promotion_target.refuse_unknown_site(contract, wanted)
        gone = force and not promotion_target.leads_well(seen)
        seen, host = (seen, None) if gone else failover.target(session, seen, wanted, progress)
        leads = host is None and not gone
        if leads and not public_names.planned(contract, wanted):
            progress.say(f"{seen.leader} at site {wanted} leads already: nothing is changed")
            failback.remember_decision(session, wanted, progress)
            return {"from_site": wanted, "to_site": wanted, "changed": False}
        if force and not gone and not leads:
            forced_failover.refuse_living(contract, seen, wanted)
        if not leads:
            promotion_target.refuse_unconfirmed(contract, seen.leader, verb, wanted, confirmation, force)
        left = promotion_target.site_of(contract, seen.leader) if seen.leader else ""
        moved = {"from_site": left, "to_site": wanted, "changed": True}
        with (
            change(name, verb, progress, redact.of(contract), session) as facts,
            fleet_lock.hold_fleet_lock(session, f"{verb} to {wanted}", progress),
        ):
            facts |= {**moved, "old_leader": seen.leader, "forced": force}
            # Before the move, so that nothing goes back by itself in the middle of it, nor in answer to it.
            failback.hold(session, wanted, progress)
            if leads:
                leader = next(one for one in contract.hosts if one.name == seen.leader)
                result = failover.led(contract, leader, time.monotonic(), progress, {})
            elif host is None:
                result = forced_failover.run(session, seen, wanted, progress)
            else:
                result = failover.run(session, seen.leader, host, progress)
            failback.remember_decision(session, wanted, progress)
            facts |= {key: value for key, value in result.items() if key != "order"}
    return {**moved, **result}

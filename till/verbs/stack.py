"""Contents page of the verbs of a whole stack: up, provision, smoke, verify, status, down."""

from __future__ import annotations

import shutil
from typing import Any

from infra.contract import Contract
from till import redact
from till.changes import fleet_lock
from till.changes.change import change
from till.checks import host_suite, purchase
from till.errors import Refused
from till.hosts import artefacts, play
from till.hosts.play_result import PlayResult
from till.hosts.session import open_session
from till.observe import status
from till.paths import STATE
from till.progress import Progress
from till.public_dns import challenges
from till.recovery import config_backup, public_names
from till.releases import release
from till.rollout import release_watch
from till.stacks import stack
from till.verbs import deploy as deploy_verbs

FIRST_RELEASE = "v1.0.0-paypal"


def provision(name: str, progress: Progress, check: bool = False, diff: bool = False, tags: str = "") -> dict[str, Any]:
    """Converge every host of a stack, and save its configuration and state when all of it was converged.

    Returns changed (tasks), per host, failed and unreachable hosts, and config_backup by host.
    """
    contract = stack.contract(name)
    challenges.refuse_undelegated(contract, tags)
    with open_session(contract, artefacts.variables()) as session:
        if check:
            checked = play.run(session, "provision.yml", progress, check=True, diff=diff, tags=tags)
            told = _provisioned(checked, contract)
            return _with_names(told, public_names.provision(session, progress, tags, check=True))
        with (
            change(name, "provision", progress, redact.of(contract), session) as facts,
            fleet_lock.hold_fleet_lock(session, "provision", progress),
        ):
            result = play.run(session, "provision.yml", progress, diff=diff, tags=tags)
            facts["changed"] = sum(result.changed.values())
            told = _provisioned(result, contract)
            told = _with_names(told, public_names.provision(session, progress, tags, check=False))
            facts["changed"] = told["changed"]
            # The stack's state leaves this machine whenever hosts were made to follow it.
            return told if tags else {**told, **config_backup.push(session, progress)}


def _provisioned(result: PlayResult, contract: Contract) -> dict[str, Any]:
    result.raise_for_failure(contract, f"mend it, then till provision {contract.stack}: it goes on where it stopped")
    return result.facts()


def _with_names(told: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """What the play told, and what was changed at a provider of the zone, if one keeps it."""
    return {**told, **names, "changed": told["changed"] + len(names["names"]["changes"])} if names else told


def buy(name: str, progress: Progress) -> dict[str, Any]:
    """A smoke purchase through the public name."""
    return purchase.run(stack.contract(name), progress)


def verify_hosts(name: str, progress: Progress) -> dict[str, Any]:
    """testinfra on every host."""
    stack.contract(name)
    return host_suite.run(name, progress)


def state(name: str, progress: Progress | None = None) -> dict[str, Any]:
    """How the stack is; what its watch did meanwhile is in the journal then."""
    with open_session(stack.contract(name)) as session:
        found = status.of(session)
        unreached = {one["name"] for one in found["hosts"] if not one["reachable"]}
        release_watch.collect(session, progress or Progress(quiet=True), unreached)
        return found


def under_way(found: dict[str, Any]) -> str:
    """The change that `state` found under way, for a person; "" where there is none. Pure."""
    return fleet_lock.named(found["change"]) if found["change"] else ""


def up(name: str, progress: Progress, version: str = FIRST_RELEASE) -> dict[str, Any]:
    """From nothing to a paid order. A run that was interrupted is finished by the next one."""
    with progress.phase("pulumi"), change(name, "pulumi up", progress):
        stack.up(stack.known(name), progress.say)
    with progress.phase("provision"):
        converged = provision(name, progress)
    with progress.phase("release"):
        # A release never changes: a later source becomes a later version.
        if not release.is_built(name, version):
            deploy_verbs.build_release(name, version, str(deploy_verbs.STOREFRONT), progress)
    with progress.phase("deploy"):
        deployed = deploy_verbs.deploy_release(name, version, progress)
    with progress.phase("verify"):
        checks = verify_hosts(name, progress)
    with progress.phase("smoke"):
        bought = buy(name, progress)
    contract = stack.contract(name)
    return {
        "version": version,
        "changed": converged["changed"] + deployed["changed"],
        "checks": checks,
        "order": bought,
        "phases": progress.phases,
        "urls": status.urls(contract),
        "hosts": status.hosts(contract),
    }


def down(name: str, progress: Progress, confirmation: str = "") -> dict[str, Any]:
    """Remove a stack: what Pulumi made, its releases, and what Pulumi wrote into a lab's settings file."""
    lab = stack.is_lab(name)
    if not lab and confirmation != name:
        raise Refused(f"down removes stack {name} for good", f"till down {name} --confirm {name}")
    with progress.phase("pulumi destroy"), change(name, "down", progress):
        stack.destroy(name, progress.say)
    shutil.rmtree(STATE / "releases" / name, ignore_errors=True)
    if lab:
        stack.forget_salt(name)
    return {"phases": progress.phases}

"""Contents page: what each verb does, top to bottom."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from infra.contract import Contract
from till import (
    artefacts,
    challenges,
    config_backup,
    deploy,
    play,
    public_names,
    redact,
    release,
    smoke,
    stack,
    status,
    verify,
)
from till.change import change
from till.errors import Refused
from till.outcome import PlayResult
from till.paths import CHECKOUT, STATE
from till.progress import Progress
from till.workplace import opened

FIRST_RELEASE = "v1.0.0-paypal"
STOREFRONT = CHECKOUT / "services" / "storefront"


def provision(name: str, progress: Progress, check: bool = False, diff: bool = False, tags: str = "") -> dict[str, Any]:
    """Converge every host of a stack, and save its configuration and state when all of it was converged.

    Returns changed (tasks), per host, failed and unreachable hosts, and config_backup by host.
    """
    contract = stack.contract(name)
    challenges.refuse_undelegated(contract, tags)
    with opened(contract, artefacts.variables()) as workplace:
        if check:
            checked = play.run(workplace, "provision.yml", progress, check=True, diff=diff, tags=tags)
            told = _provisioned(checked, contract)
            return _with_names(told, public_names.provision(workplace, progress, tags, check=True))
        with change(name, "provision", progress, redact.of(contract), workplace) as facts:
            result = play.run(workplace, "provision.yml", progress, diff=diff, tags=tags)
            facts["changed"] = sum(result.changed.values())
            told = _provisioned(result, contract)
            told = _with_names(told, public_names.provision(workplace, progress, tags, check=False))
            facts["changed"] = told["changed"]
            # The stack's state leaves this machine whenever hosts were made to follow it.
            return told if tags else {**told, **config_backup.push(workplace, progress)}


def _provisioned(result: PlayResult, contract: Contract) -> dict[str, Any]:
    result.raise_for_failure(contract, f"mend it, then till provision {contract.stack}: it goes on where it stopped")
    return result.facts()


def _with_names(told: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """What the play told, and what was changed at a provider of the zone, if one keeps it."""
    return {**told, **names, "changed": told["changed"] + len(names["names"]["changes"])} if names else told


def build_release(name: str, version: str, source: Path, progress: Progress) -> dict[str, Any]:
    """Build a release once. Returns its manifest."""
    stack.known(name)
    if release.is_built(name, version):
        return release.build(name, version, source, progress).model_dump()
    with change(name, "release build", progress) as facts:
        manifest = release.build(name, version, source, progress)
        facts |= {"version": version, "sha256": manifest.sha256, "source_sha256": manifest.source_sha256}
    return manifest.model_dump()


def deploy_release(
    name: str, version: str, progress: Progress, check: bool = False, diff: bool = False
) -> dict[str, Any]:
    """Deploy a built release. Returns old and new version, verdict, changed, switch_s and the smoke purchase."""
    contract = stack.contract(name)
    manifest = release.load(name, version)
    with opened(contract, artefacts.variables()) as workplace:
        if check:
            return vars(deploy.run(workplace, version, progress, check=True, diff=diff))
        with change(name, "deploy", progress, redact.of(contract), workplace) as facts:
            # By the artefact production finds out whether staging passed it.
            facts |= {"new_version": version, "sha256": manifest.sha256}
            outcome = deploy.run(workplace, version, progress, diff=diff)
            facts |= {"old_version": outcome.old_version, "switch_s": outcome.switch_s, "changed": outcome.changed}
    return {"strategy": "blue-green", **vars(outcome)}


def buy(name: str, progress: Progress) -> dict[str, Any]:
    """A smoke purchase through the public name."""
    return smoke.run(stack.contract(name), progress)


def verified(name: str, progress: Progress) -> dict[str, Any]:
    """testinfra on every host."""
    stack.contract(name)
    return verify.run(name, progress)


def state(name: str) -> dict[str, Any]:
    """How the stack is."""
    with opened(stack.contract(name)) as workplace:
        return status.of(workplace)


def up(name: str, progress: Progress, version: str = FIRST_RELEASE) -> tuple[Contract, dict[str, Any]]:
    """From nothing to a paid order. A run that was interrupted is finished by the next one."""
    with progress.phase("pulumi"), change(name, "pulumi up", progress):
        stack.up(stack.known(name), progress.say)
    with progress.phase("provision"):
        converged = provision(name, progress)
    with progress.phase("release"):
        # A release never changes: a later source becomes a later version.
        if not release.is_built(name, version):
            build_release(name, version, STOREFRONT, progress)
    with progress.phase("deploy"):
        deployed = deploy_release(name, version, progress)
    with progress.phase("verify"):
        checks = verified(name, progress)
    with progress.phase("smoke"):
        bought = buy(name, progress)
    contract = stack.contract(name)
    return contract, {
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
        _without_salt(stack.settings_file(name))
    return {"phases": progress.phases}


def _without_salt(settings: Path) -> None:
    """A lab's salt belongs to this machine's passphrase, not to git: `pulumi stack init` wrote it."""
    lines = settings.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("encryptionsalt:")]
    if kept != lines:
        settings.write_text("".join(kept))

"""Contents page of the verbs of releases: build, deploy, lead back, compare."""

from __future__ import annotations

from typing import Any

from till import redact
from till.changes import fleet_lock, journal
from till.changes.change import change
from till.hosts import artefacts
from till.hosts.session import open_session
from till.paths import CHECKOUT
from till.platforms.vps import ship
from till.progress import Progress
from till.releases import diff as release_diff
from till.releases import git_source, release
from till.rollout import deploy, plan, release_watch, rollback
from till.stacks import stack
from till.verbs import approvals

STOREFRONT = CHECKOUT / "services" / "storefront"


def build_release(name: str, version: str, source: str, progress: Progress, test: bool = False) -> dict[str, Any]:
    """Build a release once, from a folder or a git repository, `test` and sign it. Returns its manifest."""
    contract = stack.contract(name)
    with git_source.open_source(source, progress) as found:
        if release.is_built(name, version):
            return release.build(contract, version, found, progress, test).model_dump()
        with change(name, "release build", progress) as facts:
            manifest = release.build(contract, version, found, progress, test)
            told = ("sha256", "source_sha256", "source_url", "source_commit", "tests_passed")
            facts |= {"version": version, **{one: getattr(manifest, one) for one in told}}
    return manifest.model_dump()


def deploy_release(
    name: str,
    version: str,
    progress: Progress,
    *,
    strategy: str = "",
    bake_s: float | None = None,
    override: str = "",
    check: bool = False,
    diff: bool = False,
) -> dict[str, Any]:
    """Deploy a built release; returns what deploy_record.facts and Deploy.facts tell."""
    request = deploy.DeployRequest(version, strategy, bake_s, override)
    contract = stack.contract(name)
    manifest, plan_text = release.load(contract, request.version), plan.text(request.steps())
    with open_session(contract, artefacts.variables()) as session:
        if check:
            checked = ship.run(session, manifest, progress, check=True, diff=diff)
            checked.raise_for_failure(contract, f"till deploy {name} {request.version}")
            return checked.facts()
        release_watch.collect(session, progress)
        with (
            change(name, "deploy", progress, redact.of(contract), session) as facts,
            fleet_lock.hold_fleet_lock(session, f"deploy {request.version}") as held,
        ):
            # By the artefact production finds out whether staging passed it.
            facts |= {"new_version": request.version, "sha256": manifest.sha256}
            facts |= approvals.refuse_unready(session, manifest, plan_text, request.override, progress)
            record = deploy.start_record(session, request, manifest, journal.account(), progress)
            told = deploy.Deploy(session, request, manifest, record, progress, held).run()
            facts |= {one: told[one] for one in ("old_version", "strategy", "switch_s", "changed", "record")}
    return told


def roll_back(name: str, version: str, override: str, progress: Progress) -> dict[str, Any]:
    """Lead traffic back to the release that is still warm; returns what deploy_record.facts tells."""
    contract = stack.contract(name)
    with open_session(contract) as session:
        release_watch.collect(session, progress)
        with (
            change(name, "rollback", progress, redact.of(contract), session) as facts,
            fleet_lock.hold_fleet_lock(session, f"rollback {version}".strip()) as held,
        ):
            told = rollback.run(session, version, journal.account(), override, progress, held)
            facts |= {one: told[one] for one in ("old_version", "new_version", "rollback_s", "record")}
    return told


def compare_releases(name: str, old: str, new: str) -> dict[str, Any]:
    """Two built releases beside each other."""
    return release_diff.between(stack.contract(name), old, new).model_dump()

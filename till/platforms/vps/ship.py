"""A release brought into the idle slot of every host and started there; no traffic moves."""

from __future__ import annotations

from infra.contract import Contract
from till.errors import GateSaidNo
from till.hosts import play
from till.hosts.play_result import PlayResult
from till.hosts.session import Session
from till.paths import release_dir
from till.progress import Progress
from till.releases import release

# The task of deploy.yml that is the health gate (a test holds both equal).
HEALTH_GATE = "Start and wait for health"


def run(
    session: Session, manifest: release.Manifest, progress: Progress, check: bool = False, diff: bool = False
) -> PlayResult:
    """Upload, check, unpack, start, on all hosts or for nobody."""
    stack, version = session.contract.stack, manifest.version
    variables = {
        "release_version": version,
        "release_artefact": str(release_dir(stack, version) / "artefact.tar.gz"),
        "release_sha256": manifest.sha256,
        "release_manifest": manifest.model_dump(),
    }
    return play.run(session, "deploy.yml", progress, variables, check=check, diff=diff)


def refuse_unshipped(contract: Contract, version: str, old_version: str | None, shipped: PlayResult) -> None:
    """Raises HostUnreachable naming hosts that were not reached, else GateSaidNo with what each host could not do."""
    if shipped.succeeded:
        return
    serving = f"{old_version} serves on" if old_version else "nothing was switched"
    if shipped.unreachable:
        shipped.raise_for_failure(contract, f"{serving}; mend the cause, then till deploy {contract.stack} {version}")
    if all(one.task == HEALTH_GATE for one in shipped.failures):
        told = "; ".join(f"{one.host}: {one.message}" for one in shipped.failures)
        raise GateSaidNo(
            f"{version} does not get healthy, {serving}: {told}",
            f"mend it, build a new version, then till deploy {contract.stack} VERSION",
            shipped.facts(),
        )
    told = "; ".join(f"{one.host}: {one.task}: {one.message}" for one in shipped.failures)
    raise GateSaidNo(
        f"{version} could not be shipped, {serving}: {told}",
        f"mend the cause, then till deploy {contract.stack} {version}",
        shipped.facts(),
    )

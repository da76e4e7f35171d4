"""A rollback by hand: the release that is still warm in the other slot serves again, and is proven to."""

from __future__ import annotations

import time
from typing import Any

from infra.contract import Contract
from till.changes import fleet_lock
from till.checks import serving
from till.errors import GateSaidNo, TillError, UsageError
from till.hosts.session import Session
from till.platforms.vps import slots
from till.platforms.vps.edges import Edges, Intent
from till.platforms.vps.slots import Slots
from till.policy import thresholds
from till.progress import Progress
from till.records import deploy_documents, deploy_record
from till.records.deploy_record import Record
from till.releases import release
from till.rollout import migrations, release_watch


def goal(contract: Contract, found: dict[str, Slots], records: list[Record], version: str) -> str:
    """The release that a rollback leads to. Pure.

    Raises UsageError where that release is not warm on every host, or was itself taken back. Where hosts serve
    different releases, as after a crash, it is to be named.
    """
    stack, hosts = contract.stack, list(found.values())
    held = [{one.blue, one.green} - {None} for one in hosts]
    # Also one that some host serves already.
    there = (
        {one for one in set[str | None].intersection(*held) if any(host.serving != one for host in hosts)}
        if held
        else set()
    )
    alone = {one for one in there if all(host.serving != one for host in hosts)}
    wanted = version or next(iter(alone), None)
    if not wanted:
        raise UsageError(
            "no older release is warm on every host", f"till history {stack}, then till deploy {stack} VERSION"
        )
    if wanted not in there:
        told = ", ".join(sorted(map(str, there))) or "none"
        raise UsageError(
            f"{wanted} is not warm in a slot of every host (there: {told})", f"till deploy {stack} {wanted}"
        )
    if not version and wanted in voided(records):
        raise UsageError(
            f"{wanted} was itself taken back", f"till deploy {stack} VERSION, or till rollback {stack} {wanted}"
        )
    return wanted


def voided(records: list[Record]) -> set[str]:
    """Releases that were taken back last time they served, or tried to. Pure."""
    found = set[str]()
    for record in records:
        if record.kind == "rollback" and record.verdict == "pass" and record.old_version:
            found.add(record.old_version)
        if record.kind == "deploy" and record.verdict in ("fail", "insufficient"):
            found.add(record.new_version)
        if record.verdict == "pass":
            found.discard(record.new_version)
    return found


def refuse_contracted(contract: Contract, serving_version: str | None, wanted: str) -> None:
    """Raises GateSaidNo where the release that serves has removed what the wanted one needs."""
    if not serving_version or not release.is_built(contract.stack, serving_version):
        return
    if not migrations.runs_on(wanted, release.load(contract, serving_version)):
        raise GateSaidNo(
            f"{serving_version} has contracted the database: {wanted} can't run on it any more",
            f"mend it forward: till release build {contract.stack} --version VERSION, then till deploy",
        )


def run(
    session: Session, version: str, by: str, override: str, progress: Progress, held: fleet_lock.LockHold
) -> dict[str, Any]:
    """Lead all traffic back at once, then prove it; returns what the verb tells."""
    contract = session.contract
    found = slots.read(session)
    _, serves = slots.before_all(found)
    wanted = goal(contract, found, deploy_record.every(contract.stack), version)
    if not override:
        refuse_contracted(contract, serves, wanted)
    manifest = release.load(contract, wanted)
    record = deploy_record.begin(
        contract.stack,
        "rollback",
        by,
        wanted,
        old_version=serves,
        old_sha256=release.sha256(contract, serves),
        new_sha256=manifest.sha256,
        override=override,
    )
    return deploy_documents.after(contract, record, lambda: _lead(session, record, manifest, progress, held))


def _lead(
    session: Session, record: Record, manifest: release.Manifest, progress: Progress, held: fleet_lock.LockHold
) -> None:
    release_watch.over(session, f"rollback {manifest.version}", record.by, progress)
    edges = Edges(session, held.token)
    edges.end()
    intents = edges.intend(version=manifest.version)
    held.check()
    began = time.monotonic()
    try:
        # Nobody stays with the release that is left, a checkout neither.
        edges.promote(intents, drop=True)
    except BaseException:
        # Whatever it was, a fault of ours too.
        _forth(edges, intents)
        raise
    record.rollback_s = record.switch_s = round(time.monotonic() - began, 2)
    record.steps = [deploy_record.Step(at_s=record.elapsed_s(), percent=100)]
    progress.say(f"{manifest.version} serves after {record.rollback_s} s")
    edges.drain()
    serving.verify_serving(session, manifest, progress)
    record.phases = {"switch": record.rollback_s, "prove": round(time.monotonic() - began - record.rollback_s, 1)}


def _forth(edges: Edges, intents: dict[str, Intent]) -> None:
    """One release remains: what some edges could not do, the others undo."""
    try:
        edges.revert(intents, thresholds()["rollout"]["lease_s"])
    except TillError as second:
        raise TillError(f"edges differ now: {second.message}", second.next_command) from None

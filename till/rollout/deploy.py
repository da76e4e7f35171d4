"""A deploy: ship to the idle slot, try it, give it traffic step by step; any no brings the old release back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NoReturn

from till.changes import fleet_lock
from till.checks import serving
from till.errors import GateSaidNo, HostUnreachable, Interrupted, TillError, Unexpected, error_of
from till.hosts.session import Session
from till.platforms.vps import ship, slots
from till.platforms.vps.edges import Edges, Intent
from till.policy import thresholds
from till.progress import Progress
from till.records import deploy_documents, deploy_record
from till.records.deploy_record import Record
from till.releases import release
from till.rollout import ledger_gate, migrations, plan, preview, release_watch, usage_gate
from till.rollout.rollout import Rollout


@dataclass(frozen=True)
class DeployRequest:
    """What is asked for: the strategy, the last step's hold (None: policy's), and why rules don't count this time."""

    version: str
    strategy: str = ""
    bake_s: float | None = None
    override: str = ""

    def steps(self) -> tuple[plan.Step, ...]:
        policy = thresholds()["rollout"]
        return plan.steps(self.strategy or policy["strategy"], policy, self.bake_s)


@dataclass
class Deploy:
    """One deploy under way, as long as its lease of the stack is held."""

    session: Session
    request: DeployRequest
    manifest: release.Manifest
    record: Record
    progress: Progress
    held: fleet_lock.LockHold
    changed: int = 0

    def run(self) -> dict[str, Any]:
        """Deploy to every host; returns what the verb tells.

        Raises GateSaidNo when a gate said no and the old release serves (again), TillError when it failed before any
        traffic moved; both carry the same as their facts.
        """
        return deploy_documents.after(self.session.contract, self.record, self._run, lambda: {"changed": self.changed})

    def _run(self) -> None:
        steps = self.request.steps()
        self.record.plan = [deploy_record.PlanStep(percent=one.percent, hold_s=one.hold_s) for one in steps]
        edges = Edges(self.session, self.held.token)
        if self.record.old_version != self.manifest.version:
            # What it would go back to is about to leave its slot.
            release_watch.over(self.session, f"deploy {self.manifest.version}", self.record.by, self.progress)
        with self._phase("ship"):
            edges.end()
            self._refuse_contracting()
            shipped = ship.run(self.session, self.manifest, self.progress)
            self.changed = sum(shipped.changed.values())
            ship.refuse_unshipped(self.session.contract, self.manifest.version, self.record.old_version, shipped)
        self.held.check()
        intents = edges.intend(version=self.manifest.version)
        rollout = Rollout(
            self.session, edges, intents, self.manifest, self.record, self.progress, self.held.check, usage_gate.gate
        )
        try:
            self._lead(rollout, steps)
        except BaseException as reason:
            # A fault of ours, too: nobody waits for the lease of a share to be over.
            self._take_back(edges, intents, error_of(reason, "interrupted before the last gate"))
        release_watch.begin(self.session, self.record, intents, self.progress)

    def _lead(self, rollout: Rollout, steps: tuple[plan.Step, ...]) -> None:
        """From the first look at the new release to all of the traffic, and proof of it."""
        beside = any(one.beside for one in rollout.intents.values())
        if beside:
            with self._phase("preview"):
                preview.run(rollout)
            with self._phase("steps"):
                rollout.go(steps)
                if self.manifest.smoke == "purchase":
                    ledger_gate.gate(rollout, "steps")
        self.held.check()
        with self._phase("promote"):
            began = time.monotonic()
            rollout.edges.promote(rollout.intents)
            if not beside:
                self.record.switch_s = round(time.monotonic() - began, 2)
            self.changed += sum(one.moves for one in rollout.intents.values())
            rollout.edges.drain()
        with self._phase("prove"):
            serving.verify_serving(self.session, self.manifest, self.progress)

    def _phase(self, name: str) -> Any:
        return _Phase(self.record, name, self.progress)

    def _refuse_contracting(self) -> None:
        """What starts in the idle slot may migrate the database at once, so this is asked before."""
        serves = {one.serving for one in slots.read(self.session).values()}
        if refused := migrations.refusal(serves, self.manifest):
            raise GateSaidNo(
                refused,
                "deploy a release that does without, name it in runs_beside of the contracting one's app.yml, then"
                f" till release build {self.session.contract.stack} --version NEW_VERSION",
            )

    def _take_back(self, edges: Edges, intents: dict[str, Intent], reason: TillError) -> NoReturn:
        """Lead traffic to what served before; always raises."""
        stack, version = self.session.contract.stack, self.manifest.version
        if not any(one.moves for one in intents.values()):
            self._end(
                reason,
                f"{version} was serving already and nothing was switched: {reason.message}",
                f"till status {stack}",
            )
        if all(one.old_slot is None for one in intents.values()):
            self._end(
                reason, f"{version}: {reason.message}; there is no older release to return to", f"till status {stack}"
            )
        self.progress.say(f"back to {self.record.old_version or 'what served before'}: {reason.message}")
        began, lease_s = time.monotonic(), thresholds()["rollout"]["lease_s"]
        try:
            edges.revert(intents, lease_s)
        except TillError as second:
            second.message = f"{reason.message}; and the way back to {self.record.old_version} failed: {second.message}"
            if isinstance(second, HostUnreachable):
                second.message += f"; a host that tries {version} returns by itself within {lease_s} s"
                second.next_command = f"till status {stack}, then till deploy {stack} {version}"
            raise
        self.record.rollback_s = round(time.monotonic() - began, 2)
        if self.record.steps:
            left = deploy_record.Step(at_s=self.record.elapsed_s(), percent=0)
            self.record.steps = [*self.record.steps, left]
        again = version if isinstance(reason, Interrupted) else "VERSION"
        self._end(
            reason,
            f"{version} was taken back, {self.record.old_version} serves: {reason.message}",
            f"mend what was wrong, then till deploy {stack} {again}",
        )

    def _end(self, reason: TillError, message: str, next_command: str) -> NoReturn:
        """Raise what ended the deploy, once traffic is where it was: an interruption, a fault of ours, a gate's no."""
        if isinstance(reason, Unexpected):
            reason.message = message
            raise reason
        raise (Interrupted if isinstance(reason, Interrupted) else GateSaidNo)(message, next_command) from reason


class _Phase:
    """A phase of a deploy: told, timed, and on the disk when it ends."""

    def __init__(self, record: Record, name: str, progress: Progress) -> None:
        self._record, self._name, self._progress = record, name, progress

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._progress.say(self._name)

    def __exit__(self, *_: object) -> None:
        self._record.phases = {**self._record.phases, self._name: round(time.monotonic() - self._began, 1)}
        deploy_record.save(self._record)


def start_record(
    session: Session, request: DeployRequest, manifest: release.Manifest, by: str, progress: Progress
) -> Record:
    """The record of a deploy, with what serves before it."""
    before = slots.read(session)
    slot, version = slots.before_all(before)
    progress.say(f"serving now: {version or 'nothing yet'}{f' ({slot})' if slot else ''}")
    return deploy_record.begin(
        session.contract.stack, "deploy", by, request.version, override=request.override, old_version=version,
        old_sha256=release.sha256(session.contract, version),
        new_sha256=manifest.sha256, source_commit=manifest.source_commit,
        strategy=request.strategy or thresholds()["rollout"]["strategy"],
    )  # fmt: skip

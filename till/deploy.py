"""A deploy: ship to the idle slot, gate, switch, gate again; any no keeps or restores the old release."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from till import gates, play, probe, release, slots, smoke
from till.errors import GateSaidNo, Interrupted, TillError
from till.outcome import PlayResult
from till.paths import release_dir
from till.progress import Progress
from till.thresholds import thresholds
from till.workplace import Workplace

WAIT_STEP_S = 0.3
# The task of deploy.yml that is the health gate (a test holds both equal).
HEALTH_GATE = "Start and wait for health"


@dataclass
class Outcome:
    """What a deploy did; times in seconds. `changed` counts tasks on hosts."""

    old_version: str | None
    new_version: str
    verdict: str = "pass"
    reason: str = ""
    changed: int = 0
    ship_s: float = 0.0
    switch_s: float = 0.0
    smoke: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Before:
    """What served before; `slot` is None when nothing did, or hosts differed."""

    slot: str | None
    version: str | None


def run(workplace: Workplace, version: str, progress: Progress, check: bool = False, diff: bool = False) -> Outcome:
    """Deploy a built release to every app host of the stack.

    Raises GateSaidNo when a gate said no and the old release serves (again), TillError when it failed before any
    switch; both carry the outcome as their facts.
    """
    stack = workplace.contract.stack
    manifest = release.load(workplace.contract, version)
    before = _Before(*slots.before_all(slots.read(workplace)))
    outcome = Outcome(old_version=before.version, new_version=version)
    progress.say(f"serving now: {before.version or 'nothing yet'}{f' ({before.slot})' if before.slot else ''}")
    _ship(workplace, manifest, outcome, progress, check, diff)
    if check:
        return outcome
    switched: PlayResult | None = None
    try:
        switched = play.run(workplace, "switch.yml", progress, {"release_version": version})
        outcome.switch_s = switched.duration_s
        outcome.changed += sum(switched.changed.values())
        switched.raise_for_failure(workplace.contract, f"till deploy {stack} {version}")
        _proves(workplace, manifest, outcome, progress)
    except (TillError, KeyboardInterrupt) as reason:
        told = reason if isinstance(reason, TillError) else Interrupted("interrupted before the last gate")
        outcome.verdict, outcome.reason = "fail", told.message
        if switched is not None and switched.succeeded and not switched.changed:
            raise _no(told)(
                f"{version} was serving already and nothing was switched: {told.message}",
                f"till status {stack}",
                asdict(outcome),
            ) from reason
        _take_back(workplace, before, outcome, told, progress)
    return outcome


def _ship(
    workplace: Workplace, manifest: release.Manifest, outcome: Outcome, progress: Progress, check: bool, diff: bool
) -> None:
    stack, version = workplace.contract.stack, manifest.version
    variables = {
        "release_version": version,
        "release_artefact": str(release_dir(stack, version) / "artefact.tar.gz"),
        "release_sha256": manifest.sha256,
        "release_manifest": manifest.model_dump(),
    }
    shipped = play.run(workplace, "deploy.yml", progress, variables, check=check, diff=diff)
    outcome.ship_s, outcome.changed = shipped.duration_s, sum(shipped.changed.values())
    if shipped.succeeded:
        return
    serving = f"{outcome.old_version} serves on" if outcome.old_version else "nothing was switched"
    outcome.verdict, outcome.reason = "fail", _reasons(shipped)
    if shipped.failures and all(one.task == HEALTH_GATE for one in shipped.failures):
        raise GateSaidNo(
            f"{version} does not get healthy, {serving}: {outcome.reason}",
            f"mend it, build a new version, then till deploy {stack} VERSION",
            asdict(outcome),
        )
    try:
        shipped.raise_for_failure(workplace.contract, f"{serving}; mend the cause, then till deploy {stack} {version}")
    except TillError as reason:
        reason.facts |= asdict(outcome)
        raise


def _reasons(result: PlayResult) -> str:
    return "; ".join(f"{one.host}: {one.message}" for one in [*result.unreachable, *result.failures])


def _proves(workplace: Workplace, manifest: release.Manifest, outcome: Outcome, progress: Progress) -> None:
    """The gates after the switch: the release is what is served, and something can be bought."""
    _serves(workplace, manifest)
    if manifest.smoke == "purchase":
        contract = workplace.contract
        outcome.smoke = smoke.run(contract, progress, until_approval=not smoke.approves(contract))


def _serves(workplace: Workplace, manifest: release.Manifest) -> None:
    """Wait until every edge serves the release; raises GateSaidNo at the deadline."""
    contract, trust = workplace.contract, probe.public_trust(workplace.contract)
    deadline = time.monotonic() + thresholds()["version"]["deadline_s"]
    while True:
        if manifest.version_path:
            found = probe.served_versions(contract, trust, manifest.version_path)
            verdict = gates.version(manifest.version, found)
        else:
            verdict = gates.answers(manifest.health_path, probe.served_statuses(contract, trust, manifest.health_path))
        if verdict.passed:
            return
        if time.monotonic() > deadline:
            raise GateSaidNo(verdict.sentence)
        time.sleep(WAIT_STEP_S)


def _no(reason: TillError) -> type[TillError]:
    return Interrupted if isinstance(reason, Interrupted) else GateSaidNo


def _take_back(workplace: Workplace, before: _Before, outcome: Outcome, reason: TillError, progress: Progress) -> None:
    """Lead traffic to the slot that served before; always raises."""
    stack = workplace.contract.stack
    if before.slot is None:
        raise _no(reason)(
            f"{outcome.new_version}: {reason.message}; there is no older release to return to",
            f"till status {stack}",
            asdict(outcome),
        ) from reason
    progress.say(f"back to {before.version} ({before.slot}): {reason.message}")
    back = play.run(workplace, "switch.yml", progress, {"switch_to_slot": before.slot})
    try:
        back.raise_for_failure(workplace.contract, f"till status {stack}")
    except TillError as second:
        second.message = f"{reason.message}; and the way back to {before.version} failed: {second.message}"
        second.facts |= asdict(outcome)
        raise
    again = outcome.new_version if _no(reason) is Interrupted else "VERSION"
    raise _no(reason)(
        f"{outcome.new_version} was taken back, {before.version} serves: {reason.message}",
        f"mend what was wrong, then till deploy {stack} {again}",
        asdict(outcome),
    ) from reason

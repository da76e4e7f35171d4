"""A deploy: ship to the idle slot, gate, switch, gate again; any no keeps or restores the old release."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from infra.contract import Contract
from till import gates, play, probe, release, smoke
from till.errors import GateSaidNo, TillError
from till.paths import release_dir
from till.progress import Progress
from till.thresholds import thresholds
from till.workplace import Workplace

WAIT_STEP_S = 0.3


@dataclass
class Outcome:
    """What a deploy did; times in seconds."""

    old_version: str | None
    new_version: str
    verdict: str = "pass"
    reason: str = ""
    changed: int = 0
    switch_s: float = 0.0
    smoke: dict[str, Any] = field(default_factory=dict)


def run(workplace: Workplace, version: str, progress: Progress, check: bool = False, diff: bool = False) -> Outcome:
    """Deploy a built release to every app host of the stack.

    Raises GateSaidNo when a gate said no after the switch was taken back, TillError when it failed before any switch.
    """
    contract = workplace.contract
    manifest = release.load(contract.stack, version)
    variables = {
        "release_version": version,
        "release_artefact": str(release_dir(contract.stack, version) / "artefact.tar.gz"),
        "release_sha256": manifest.sha256,
        "release_manifest": manifest.model_dump(),
    }
    trust = probe.public_trust(contract)
    before = probe.served_versions(contract, trust)
    outcome = Outcome(old_version=next((served for served in before.values() if served), None), new_version=version)
    progress.say(f"serving now: {outcome.old_version or 'nothing yet'}")
    shipped = play.run(workplace, "deploy.yml", progress, variables, check=check, diff=diff)
    shipped.raise_for_failure(
        f"the old release serves on ({outcome.old_version or 'none'}); mend the cause, then till deploy {contract.stack} {version}"
    )
    outcome.changed = sum(shipped.changed.values())
    if check:
        return outcome
    began = time.monotonic()
    switched = play.run(workplace, "switch.yml", progress, {"release_version": version})
    outcome.switch_s = round(time.monotonic() - began, 1)
    outcome.changed += sum(switched.changed.values())
    try:
        switched.raise_for_failure(f"till deploy {contract.stack} {version}")
        _served(contract, trust, version)
        outcome.smoke = smoke.run(contract, progress)
    except TillError as reason:
        _take_back(workplace, outcome, reason, progress)
    return outcome


def _served(contract: Contract, trust: Any, version: str) -> None:
    deadline = time.monotonic() + thresholds()["version"]["deadline_s"]
    while True:
        verdict = gates.version(version, probe.served_versions(contract, trust))
        if verdict.passed:
            return
        if time.monotonic() > deadline:
            raise GateSaidNo(verdict.sentence)
        time.sleep(WAIT_STEP_S)


def _take_back(workplace: Workplace, outcome: Outcome, reason: TillError, progress: Progress) -> None:
    stack = workplace.contract.stack
    if outcome.old_version in (None, outcome.new_version):
        raise GateSaidNo(
            f"{outcome.new_version}: {reason.message}; there is no older release to return to", f"till status {stack}"
        ) from reason
    progress.say(f"a gate said no, back to {outcome.old_version}: {reason.message}")
    back = play.run(workplace, "switch.yml", progress, {"release_version": outcome.old_version})
    back.raise_for_failure(f"till deploy {stack} {outcome.old_version}")
    raise GateSaidNo(
        f"{outcome.new_version} was taken back, {outcome.old_version} serves: {reason.message}",
        f"mend it, build a new version, then till deploy {stack} VERSION",
    ) from reason

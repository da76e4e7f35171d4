"""What a stack serves: that it is the release that was meant, on every edge, and that something can be bought."""

from __future__ import annotations

import time
from typing import Any

from till.checks import purchase, verdicts
from till.errors import GateSaidNo
from till.hosts.session import Session
from till.observe import probe
from till.policy import thresholds
from till.progress import Progress
from till.releases import release

WAIT_STEP_S = 0.3


def verify_serving(session: Session, manifest: release.Manifest, progress: Progress) -> dict[str, Any]:
    """The gates after the switch: the release is what is served, and something can be bought."""
    _serves(session, manifest)
    contract = session.contract
    if manifest.smoke != "purchase":
        return {}
    return purchase.run(contract, progress, until_approval=not purchase.approves(contract))


def _serves(session: Session, manifest: release.Manifest) -> None:
    """Wait until every edge serves the release; raises GateSaidNo at the deadline."""
    contract, trust = session.contract, probe.public_trust(session.contract)
    deadline = time.monotonic() + thresholds()["version"]["deadline_s"]
    while True:
        if manifest.version_path:
            found = probe.served_versions(contract, trust, manifest.version_path)
            verdict = verdicts.version(manifest.version, found)
        else:
            verdict = verdicts.answers(
                manifest.health_path, probe.served_statuses(contract, trust, manifest.health_path)
            )
        if verdict.passed:
            return
        if time.monotonic() > deadline:
            raise GateSaidNo(verdict.sentence)
        time.sleep(WAIT_STEP_S)

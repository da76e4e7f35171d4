"""Deploys as tests begin them, and what a fleet serves."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any

from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till, till_begun
from tests.fleet.places import edges
from tests.fleet.variants import BUILT
from till.observe import probe
from till.policy import thresholds

POLICY = thresholds()["rollout"]
PER_S = 20
PHASE_WITHIN_S = 180
SLOTS = "/opt/till-host/current/bin/slots"


def serve_built(lab: Contract) -> None:
    """Have the built release serve: led back to where its slot still runs, else deployed."""
    if not serves(lab, BUILT) and till("rollback", STACK, BUILT)[0] != 0:
        assert till("deploy", STACK, BUILT, "--bake-s", "0")[0] == 0


def serves(lab: Contract, version: str) -> bool:
    return set(probe.served_versions(lab, probe.public_trust(lab)).values()) == {version}


def shown(host: str) -> dict[str, Any]:
    return dict(json.loads(inside(host, f"{SLOTS} show")))


def deployed(version: str, *options: str) -> tuple[int, dict[str, Any]]:
    code, told, messages = till("deploy", STACK, version, *options)
    shorter = {
        key: told.get(key) for key in ("verdict", "reason", "switch_s", "rollback_s", "failed_requests", "phases")
    }
    print(f"{version} {' '.join(options)}: exit code {code}, {shorter}")
    if code not in (0, 3):
        print(messages[-3000:])
    return code, told


def begun(version: str, *options: str) -> subprocess.Popen[str]:
    """A deploy by a till of its own."""
    return till_begun("deploy", STACK, version, *options)


def tried(lab: Contract, percent: int) -> bool:
    return all((shown(host)["canary"] or {}).get("percent") == percent for host in edges(lab))


def holds(lab: Contract) -> dict[str, tuple[Any, ...]]:
    """By host which slot serves and what is in each."""
    return {host: tuple(shown(host)[key] for key in ("active", "blue", "green", "canary")) for host in edges(lab)}


def led_alone(lab: Contract) -> bool:
    """Whether no host has a release on trial: one that nobody goes on with ends by itself."""
    return all(shown(host)["canary"] is None for host in edges(lab))


def until_phase(asked: subprocess.Popen[str], phase: str) -> None:
    """Wait until a deploy says that a phase begins; one that does not in time, or ends before, is ended."""
    assert asked.stderr is not None
    said, ender = list[str](), threading.Timer(PHASE_WITHIN_S, asked.kill)
    ender.start()
    try:
        for line in asked.stderr:
            said.append(line.strip())
            if said[-1].split(maxsplit=1)[1:] == [phase]:
                return
        raise AssertionError((phase, said[-20:]))
    finally:
        ender.cancel()

"""A rollout without a fleet: hosts that answer from a table, a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.till.conftest import contract_of, host
from till.errors import TillError
from till.platforms.vps.edges import Intent
from till.progress import Progress
from till.records.deploy_record import Record
from till.releases.release import Manifest
from till.rollout import usage_gate
from till.rollout.rollout import Rollout
from till_host.judging.counts import Counts
from till_host.judging.tally import Place, Reading

OLD, NEW = "v1.0.0", "v1.1.0"
FLEET = contract_of(host("alpha"), host("bravo", address="198.18.7.30"), host("ops", roles=["monitoring"]))
SESSION: Any = SimpleNamespace(contract=FLEET)
INTENTS = {name: Intent("blue", "green", NEW, "till_release=token") for name in ("alpha", "bravo")}


def manifest(version: str = NEW, **changed: Any) -> Manifest:
    return Manifest(**{
        "name": "tiny", "version": version, "start": "./start", "health_path": "/up", "version_path": "/version",
        "sha256": "a" * 64, "size_bytes": 1, "sbom_sha256": "b" * 64, "source_sha256": "c" * 64, "source_url": "",
        "source_commit": "", "built_with": {}, "built_at": "2026-11-25T20:00:00+00:00", "smoke": "none", **changed,
    })  # fmt: skip


def record(kind: Any = "deploy", new: str = NEW, old: str | None = OLD, verdict: Any = "unfinished") -> Record:
    return Record(
        name=f"{kind}-20261125T191500-{new}", stack="lab", kind=kind, by="ann", at=1_795_634_100.0, new_version=new,
        old_version=old, verdict=verdict,
    )  # fmt: skip


class Clock:
    """Stands where `time` stands in a module: sleeping is what makes it go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, wait_s: float) -> None:
        assert wait_s >= 0
        self.now += wait_s


class Edges:
    """Keeps what it was asked to weigh, and when."""

    def __init__(self, clock: Clock) -> None:
        self.hosts = [one for one in FLEET.hosts if one.name in INTENTS]
        self.weighed = list[tuple[float, int]]()
        self._clock = clock

    def weigh(self, _intents: Any, percent: int, _lease_s: float) -> None:
        self.weighed.append((self._clock.now, percent))

    def shares(self) -> list[int]:
        """Each share once."""
        return list(dict.fromkeys(percent for _, percent in self.weighed))


def step_gate(rollout: Rollout, phase: str) -> None:
    """Looked up late, so that a test can put another one in its place."""
    usage_gate.gate(rollout, phase)


def rollout(
    clock: Clock,
    check: Callable[[], None] = lambda: None,
    intents: dict[str, Intent] = INTENTS,
    **of_manifest: Any,
) -> Any:
    """A rollout of NEW beside OLD on two hosts. Any: its edges are a stand-in."""
    edges: Any = Edges(clock)
    return Rollout(SESSION, edges, intents, manifest(**of_manifest), record(), Progress(quiet=True), check, step_gate)


def readings(old: Counts, new: Counts, age_s: float = 1.0, **more: Counts) -> dict[Place, Reading]:
    """What every slot of both hosts has counted; `more` are further measures of the new release."""
    return {
        (name, slot): Reading({"errors": counts, **(more if slot == "green" else {})}, age_s)
        for name in INTENTS
        for slot, counts in (("blue", old), ("green", new))
    }


def silent(*_: Any, **__: Any) -> Any:
    raise TillError("Prometheus does not answer")

"""A rollout goes through its plan: a share, a hold with looks, the next share; the first no ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from till.errors import GateSaidNo, TillError
from till.hosts.session import Session
from till.platforms.vps import counters
from till.platforms.vps.edges import Edges, Intent
from till.policy import thresholds
from till.progress import Progress
from till.records.deploy_record import Gate, Record, Step
from till.releases import release
from till.rollout import plan
from till.rollout.comparison import ReleaseComparison
from till_host.judging import judge
from till_host.judging.tally import CounterSum

Result = TypeVar("Result")


@dataclass
class Rollout:
    """One rollout under way. `check` raises when it may not go on: another change holds the lock.

    `step_gate` is asked at the end of each step, with the rollout and the step's name; it raises GateSaidNo.
    """

    session: Session
    edges: Edges
    intents: dict[str, Intent]
    manifest: release.Manifest
    record: Record
    progress: Progress
    check: Callable[[], None]
    step_gate: Callable[[Rollout, str], None]
    _blind_why: str = ""

    def __post_init__(self) -> None:
        self.policy: dict[str, Any] = thresholds()["rollout"]
        asked: dict[str, Any] = thresholds()["judge"]
        rules = judge.rules(asked)
        self._limits_s = {name: one["limit_ms"] / 1000 for name, one in asked["measures"].items() if "limit_ms" in one}
        beside = {host: one for host, one in self.intents.items() if one.beside}
        old = CounterSum(tuple((host, one.old_slot or "") for host, one in beside.items()))
        new = CounterSum(tuple((host, one.new_slot) for host, one in beside.items()))
        self.comparison = ReleaseComparison(
            rules, old, new, (self.record.old_version or "nothing", self.record.new_version)
        )

    def go(self, steps: tuple[plan.Step, ...]) -> None:
        """Every step of the plan. Raises GateSaidNo with the sentence that ended it, TillError for what failed."""
        self.look()
        for step in steps:
            self.check()
            began = time.monotonic()
            self.edges.weigh(self.intents, step.percent, self.policy["lease_s"])
            self.record.switch_s = round(time.monotonic() - began, 2)
            self.record.steps = [*self.record.steps, Step(at_s=self.record.elapsed_s(), percent=step.percent)]
            self.progress.say(f"{step.percent:>3} % of the traffic for {self.record.new_version}")
            self._hold(step)

    def look(self) -> bool:
        """Read and judge once; False where the metrics tell nothing fresh of both releases."""
        manifest = self.manifest
        unasked = {manifest.health_path, manifest.version_path, manifest.metrics_path}
        stale_s = self.policy["stale_s"]
        try:
            found = counters.read(self.session, self._limits_s, unasked, stale_s)
        except TillError as reason:
            self._blind_why = reason.message
            return False
        self._blind_why = "a slot tells nothing fresh"
        seen = self.comparison.look(found, stale_s)
        if seen:
            self.record.traffic = [*self.record.traffic, *self.comparison.samples(self.record.elapsed_s())]
            self.record.failed_requests = self.comparison.failed_requests
        return seen

    def keeping(self, work: Callable[[], Result]) -> Result:
        """Do what takes its time; the share stays as it is meanwhile, its lease renewed. Raises what that raises."""
        lease_s, shared = self.policy["lease_s"], self.record.steps[-1:]
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(work)
            while not asked.done():
                wait([asked], timeout=lease_s / 3)
                if not asked.done() and shared:
                    self.check()
                    self.edges.weigh(self.intents, int(shared[0].percent), lease_s)
            return asked.result()

    def _hold(self, step: plan.Step) -> None:
        began = seen_at = renewed_at = time.monotonic()
        while True:
            now = time.monotonic()
            self.check()
            if now - renewed_at > self.policy["lease_s"] / 3:
                self.edges.weigh(self.intents, step.percent, self.policy["lease_s"])
                renewed_at = now
            if self.look():
                seen_at = time.monotonic()
                self._refuse_failed(step)
            elif now - seen_at > self.policy["blind_deadline_s"]:
                raise GateSaidNo(
                    f"nobody can judge {self.record.new_version}: {self._blind_why} for {now - seen_at:.0f} s"
                )
            held_s = time.monotonic() - began
            if held_s >= step.hold_s and (not step.proves or self.comparison.proven()):
                break
            if step.proves and held_s > step.deadline_s:
                self._note(step)
                self.record.verdict = "insufficient"
                told = "; ".join(one.sentence for one in self.comparison.said.values() if one.verdict != "pass")
                raise GateSaidNo(f"{step.percent} % for {step.deadline_s:g} s proved nothing: {told}")
            time.sleep(max(0.0, self.policy["look_interval_s"] - (time.monotonic() - now)))
        self._note(step)
        self.keeping(lambda: self.step_gate(self, f"{step.percent} %"))

    def _refuse_failed(self, step: plan.Step) -> None:
        if found := self.comparison.failed():
            self._note(step)
            raise GateSaidNo(f"{found[0]}: {found[1].sentence}")

    def _note(self, step: plan.Step) -> None:
        """What every measure said at the end of a step."""
        for name, one in self.comparison.said.items():
            self.gate(f"{step.percent} %", name, one.verdict, one.sentence)

    def gate(self, phase: str, name: str, verdict: Any, sentence: str) -> None:
        """Keep what a gate said."""
        one = Gate(at_s=self.record.elapsed_s(), phase=phase, gate=name, verdict=verdict, sentence=sentence)
        self.record.gates = [*self.record.gates, one]
        self.progress.say(f"  {name:<10} {verdict:<12} {sentence}")

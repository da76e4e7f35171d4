"""A new release beside the old one, looked at second by second: each measure's judgement, and the traffic of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from till.records.deploy_traffic import Sample
from till_host.judging import judge
from till_host.judging.counts import NOTHING, Counts
from till_host.judging.tally import CounterSum, Place, Reading

ERRORS = "errors"


@dataclass
class ReleaseComparison:
    """`rules` by measure; the sides' places; `names`: what the old and the new release are called."""

    rules: Mapping[str, judge.Rule]
    old: CounterSum
    new: CounterSum
    names: tuple[str, str]
    said: dict[str, judge.Judgement] = field(default_factory=dict)
    _states: dict[str, judge.State] = field(default_factory=dict)
    _sampled: dict[str, Counts] = field(default_factory=dict)

    def look(self, found: Mapping[Place, Reading], stale_s: float) -> bool:
        """Judge by what both sides have counted until now; False where one of them told nothing fresh."""
        seen = [side.add(found, stale_s) for side in (self.old, self.new)]
        if not all(seen):
            return False
        for measure, rule in self.rules.items():
            old, new = (side.total.get(measure, NOTHING) for side in (self.old, self.new))
            state = self._states.get(measure) or judge.begin(rule)
            self._states[measure], self.said[measure] = judge.look(state, old, new, rule, self.names[0])
        return True

    def failed(self) -> tuple[str, judge.Judgement] | None:
        """The first measure that says no."""
        return next(((name, one) for name, one in self.said.items() if one.verdict == "fail"), None)

    def proven(self) -> bool:
        """Whether each measure that the release tells anything of says that it is good, and the edge's own does."""
        told = {
            name: one for name, one in self.said.items() if name == ERRORS or self.new.total.get(name, NOTHING).requests
        }
        return ERRORS in told and all(one.verdict == "pass" for one in told.values())

    def samples(self, at_s: float) -> list[Sample]:
        """What each side answered since this was asked last."""
        found = []
        for side, name in zip((self.old, self.new), self.names, strict=True):
            total = side.total.get(ERRORS, NOTHING)
            grown, self._sampled[name] = total - self._sampled.get(name, NOTHING), total
            found.append(Sample(at_s=at_s, version=name, requests=grown.requests, errors=grown.bad))
        return found

    @property
    def failed_requests(self) -> int:
        """What both sides answered badly while they were looked at."""
        return sum(side.total.get(ERRORS, NOTHING).bad for side in (self.old, self.new))

"""What was counted since the watch began, as evidence: once each, and not what came in a time that excuses. Pure.

Counters are read at each look. What they grew by waits for `lag_s`: so late a release may tell that it lacks what the
other one lacks as well. Then it is settled into the judge's e-processes, or dropped where such a fault came meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from till_host.judging import evidence as judged
from till_host.judging import tally
from till_host.judging.counts import NOTHING, Counts
from till_host.judging.e_values import alone
from till_host.judging.evidence import State, begin
from till_host.judging.tally import Place
from till_host.release_watch.policy import Policy, Readings, Rule, Seen

Grown = dict[str, Counts]


@dataclass(frozen=True)
class Measure:
    """The judge's states of one measure. `recent`: the counts since the release was last well, by a `drift` of 0.

    `beside`: what the old release has answered in these minutes, until `beside_at`.
    """

    allowed: State
    sure: Mapping[str, State]
    recent: Counts = NOTHING
    drift: float = 0.0
    beside: Counts = NOTHING
    beside_at: float = 0.0


@dataclass
class Block:
    """What both releases counted between two looks, by measure."""

    since: float
    until: float
    new: Grown
    old: Grown


@dataclass
class Evidence:
    """`seen`: each counter as it was read last, at `read_at`. `unbroken_since`: from then on somebody looked."""

    measures: dict[str, Measure] = field(default_factory=dict)
    seen: dict[tuple[Place, str], Counts] = field(default_factory=dict)
    pending: list[Block] = field(default_factory=list)
    read_at: float = 0.0
    looked_at: float = 0.0
    unbroken_since: float = 0.0


def begun(rule: Rule) -> Measure:
    """A measure of which nothing was counted yet."""
    return Measure(begin(rule.allowed), {name: begin(one) for name, one in rule.sure.items()})


def take(evidence: Evidence, seen: Seen, policy: Policy, now: float, excused_at: float) -> None:
    """One look: read the counters, settle what is old enough. `excused_at`: when nobody could be blamed last; 0: never.

    What was counted while nobody looked is dropped: it is not known what both releases lacked then.
    """
    unseen = now - evidence.looked_at > policy.gap_s
    if unseen:
        evidence.unbroken_since, evidence.pending = now, []
    evidence.looked_at = now
    if excused_at == now:
        evidence.pending = []
    if seen.fresh:
        block = Block(evidence.read_at, now, _grown(evidence, seen.new), _grown(evidence, seen.old))
        evidence.read_at = now
        excused = bool(excused_at) and block.since <= excused_at + policy.excused_s
        if not (unseen or excused) and (block.new or block.old):
            evidence.pending.append(block)
    due = [one for one in evidence.pending if now - one.until >= policy.lag_s]
    evidence.pending = evidence.pending[len(due) :]
    _settle_blocks(evidence.measures, due, policy)


def foreseen(evidence: Evidence, policy: Policy) -> dict[str, Measure]:
    """The measures as they will be when all that waits is settled."""
    measures = dict(evidence.measures)
    _settle_blocks(measures, evidence.pending, policy)
    return measures


def settle(measure: Measure, new: Counts, rule: Rule) -> Measure:
    """The measure after some more requests of the new release."""
    drift, recent = measure.drift + drift_by(new, rule), measure.recent + new
    if drift <= 0:
        # It is well again: what was before is no part of what may have broken since.
        drift, recent = 0.0, NOTHING
    return replace(
        measure,
        allowed=judged.added(measure.allowed, new, rule.allowed),
        sure={name: judged.added(state, new, rule.sure[name]) for name, state in measure.sure.items()},
        recent=recent,
        drift=drift,
    )


def to_json(evidence: Evidence) -> dict[str, Any]:
    """What `from_json` makes the same evidence of."""

    def grown(one: Grown) -> dict[str, list[int]]:
        return {name: [counts.requests, counts.bad] for name, counts in one.items()}

    return {
        "measures": {
            name: {
                "allowed": judged.to_json(one.allowed),
                "sure": {verdict: judged.to_json(state) for verdict, state in one.sure.items()},
                "recent": [one.recent.requests, one.recent.bad],
                "drift": one.drift,
                "beside": [one.beside.requests, one.beside.bad],
                "beside_at": one.beside_at,
            }
            for name, one in evidence.measures.items()
        },
        "seen": [[*place, name, one.requests, one.bad] for (place, name), one in evidence.seen.items()],
        "pending": [[one.since, one.until, grown(one.new), grown(one.old)] for one in evidence.pending],
        "read_at": evidence.read_at,
        "looked_at": evidence.looked_at,
        "unbroken_since": evidence.unbroken_since,
    }


def from_json(kept: Mapping[str, Any], policy: Policy) -> Evidence:
    """Evidence that was kept; a measure whose rule is another one by now begins anew."""
    evidence = Evidence(
        seen={((host, slot), name): Counts(requests, bad) for host, slot, name, requests, bad in kept["seen"]},
        pending=[Block(since, until, _counts(new), _counts(old)) for since, until, new, old in kept["pending"]],
        read_at=kept["read_at"],
        looked_at=kept["looked_at"],
        unbroken_since=kept["unbroken_since"],
    )
    for name, one in kept["measures"].items():
        if name not in policy.rules:
            continue
        measure = Measure(
            judged.from_json(one["allowed"]),
            {verdict: judged.from_json(state) for verdict, state in one["sure"].items()},
            Counts(*one["recent"]),
            one["drift"],
            Counts(*one["beside"]),
            one["beside_at"],
        )
        if _shape(measure) == _shape(begun(policy.rules[name])):
            evidence.measures[name] = measure
    return evidence


def _shape(measure: Measure) -> list[tuple[str, int]]:
    return [("", len(measure.allowed.over)), *((name, len(state.over)) for name, state in sorted(measure.sure.items()))]


def _counts(grown: Mapping[str, list[int]]) -> Grown:
    return {name: Counts(*one) for name, one in grown.items()}


def _grown(evidence: Evidence, readings: Readings) -> Grown:
    grown: Grown = {}
    for place, counts in readings.items():
        tally.grow(grown, evidence.seen, place, counts)
    return {name: one for name, one in grown.items() if one.requests}


def _settle_blocks(measures: dict[str, Measure], blocks: list[Block], policy: Policy) -> None:
    for block in blocks:
        for name, rule in policy.rules.items():
            measure = measures.get(name) or begun(rule)
            if old := block.old.get(name):
                # What the old release did long ago is no part of these minutes.
                lately = block.until - measure.beside_at <= policy.excused_s
                beside = measure.beside + old if lately else old
                measures[name] = measure = replace(measure, beside=beside, beside_at=block.until)
            if new := block.new.get(name):
                if block.until - measure.beside_at > policy.excused_s:
                    measure = replace(measure, beside=NOTHING)
                measures[name] = settle(measure, new, rule)


def drift_by(new: Counts, rule: Rule) -> float:
    """The log of a likelihood ratio (CUSUM): falls while the release is as allowed, rises at its worst level."""
    claim = rule.allowed.limit or 0.0
    return alone(new, max(*rule.levels.values(), 2 * claim), claim)

"""Whether a release that serves since a short time is to go again: what was seen in, a decision with reasons out. Pure.

The guide's triggers (rollback procedures): an immediate one takes the release back by itself, one to consider asks
people, or does the same where policy says so. A fault that the old release has as well, or had before the deploy, moves
nothing: going back would help nobody. Too little traffic says nothing.
Counts are judged as a canary's are (docs/adr/0027).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from till_host.judging.counts import NOTHING
from till_host.release_watch import evidence, verdicts
from till_host.release_watch.evidence import Evidence
from till_host.release_watch.policy import CONSIDER, IMMEDIATE, Policy, Seen
from till_host.release_watch.verdicts import HELD, INSUFFICIENT, PASS

ROLLBACK, TELL, END = "rollback", "tell", "end"
NEW, OLD = "new", "old"
ANSWER = "answer"
LEFT = "serves"
NAMES = {ANSWER: "an answer", "directus": "Directus", "database": "the database", "paypal": "PayPal"}
Said = tuple[str, str]


@dataclass
class Memory:
    """Since when each trigger holds, what people were told of, when going back would last have mended nothing (s)."""

    since: dict[str, float] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    common_at: float = 0.0
    evidence: Evidence = field(default_factory=Evidence)


def to_json(memory: Memory) -> dict[str, Any]:
    """What `from_json` makes the same memory of."""
    kept = {"since": memory.since, "told": memory.told, "common_at": memory.common_at}
    return {**kept, "evidence": evidence.to_json(memory.evidence)}


def from_json(kept: Mapping[str, Any], policy: Policy) -> Memory:
    """A memory that was kept; one of a program of before has no evidence, which is counted from now on."""
    memory = Memory(dict(kept["since"]), list(kept["told"]), kept["common_at"])
    if "evidence" in kept:
        memory.evidence = evidence.from_json(kept["evidence"], policy)
    return memory


@dataclass(frozen=True)
class Decision:
    """`action` is rollback, tell, end or nothing; `said`: verdict and sentence of each measure; `reasons`: why."""

    action: str
    reasons: tuple[str, ...]
    said: Mapping[str, Said]


def decide(seen: Seen, memory: Memory, policy: Policy, now: float) -> Decision:
    """What to do at this look; brings the memory up to date."""
    said = {**dict(_health(seen, policy)), "restarts": _restarts(seen, policy)}
    if seen.moved or any(said[part][0] == HELD for part in policy.health_hold_s):
        memory.common_at = now
    evidence.take(memory.evidence, seen, policy, now, memory.common_at)
    measures, unsure = _measures(seen, memory.evidence, policy)
    said |= measures
    if memory.common_at == now:
        excuse = "the leader or the names moved a moment ago" if seen.moved else "the old release lacks something, too"
        said = {
            name: (HELD, f"{words}; {excuse}") if bad(verdict) else (verdict, words)
            for name, (verdict, words) in said.items()
        }
        unsure = []
    if seen.serves is False:
        said[LEFT] = (IMMEDIATE, "it has no traffic any more: somebody has led it elsewhere")
    held = _held(said, unsure, memory, policy, now)
    memory.told = [name for name in memory.told if said.get(name, (PASS, ""))[0] != PASS]
    return _decision(said, held, memory, policy)


def bad(verdict: str) -> bool:
    return verdict in (CONSIDER, IMMEDIATE)


def _decision(said: dict[str, Said], held: list[str], memory: Memory, policy: Policy) -> Decision:
    if LEFT in held:
        return Decision(END, (said[LEFT][1],), said)
    automatic = (IMMEDIATE, CONSIDER) if policy.consider == ROLLBACK else (IMMEDIATE,)
    taking = [name for name in held if said[name][0] in automatic]
    if taking:
        return Decision(ROLLBACK, tuple(said[name][1] for name in taking), said)
    fresh = [name for name in held if name not in memory.told]
    memory.told += fresh
    return Decision(TELL if fresh else "", tuple(said[name][1] for name in fresh), said)


def _held(said: Mapping[str, Said], unsure: list[str], memory: Memory, policy: Policy, now: float) -> list[str]:
    """What holds for as long as policy wants, without a break and at the same level: triggers, and what is unsure."""
    keys = {name: f"{name} {verdict}" for name, (verdict, _) in said.items() if bad(verdict) or name in unsure}
    memory.since = {key: memory.since.get(key, now) for key in keys.values()}
    return [name for name, key in keys.items() if now - memory.since[key] >= policy.hold_s(name, said[name][0])]


def ripens(memory: Memory, before: Mapping[str, Any], policy: Policy, now: float) -> bool:
    """Whether something is bad and not yet for as long as policy wants, or nobody has looked for long enough. Pure."""
    if now - memory.evidence.unbroken_since < policy.excused_s:
        return True
    if any(now - since < policy.hold_s(*key.split()) for key, since in memory.since.items()):
        return True
    later, known = evidence.foreseen(memory.evidence, policy), memory.evidence.measures

    def is_bad(name: str, measure: evidence.Measure) -> bool:
        return bad(verdicts.find(measure, before.get(name, NOTHING), policy.rules[name], policy).verdict)

    return any(is_bad(name, one) and not (name in known and is_bad(name, known[name])) for name, one in later.items())


def _measures(seen: Seen, known: Evidence, policy: Policy) -> tuple[dict[str, Said], list[str]]:
    """What is said of each measure, and which of them people are told of although nobody can judge."""
    said, unsure = {}, []
    for name, rule in policy.rules.items():
        if not seen.fresh:
            said[name] = (INSUFFICIENT, "Prometheus tells nothing fresh")
            continue
        measure, before = known.measures.get(name) or evidence.begun(rule), seen.before.get(name, NOTHING)
        found = verdicts.find(measure, before, rule, policy)
        said[name] = (found.verdict, verdicts.describe(measure, before, rule, found))
        unsure += [name] if found.unsure else []
    return said, unsure


def _health(seen: Seen, policy: Policy) -> Iterator[tuple[str, Said]]:
    for part in policy.health_hold_s:
        lacking = [host for host, sides in seen.health.items() if _has(sides, NEW, part) is False]
        if not lacking:
            known = any(_has(sides, NEW, part) for sides in seen.health.values())
            yield (
                part,
                (PASS, f"it has {NAMES[part]}") if known else (INSUFFICIENT, f"it tells nothing of {NAMES[part]}"),
            )
            continue
        beside = {host: _has(seen.health[host], OLD, part) for host in lacking}
        words = f"it lacks {NAMES[part]} on {', '.join(lacking)}"
        if any(beside.values()):
            yield (
                part,
                (IMMEDIATE, f"{words}; the old release has it on {', '.join(one for one in lacking if beside[one])}"),
            )
        elif None in beside.values():
            yield part, (CONSIDER, f"{words}; whether the old release has it is not known")
        else:
            yield part, (HELD, f"{words}; the old release lacks it, too")


def _has(sides: Mapping[str, Any], side: str, part: str) -> bool | None:
    """Whether a side has a part of what it needs; None where that is not known."""
    if side not in sides:
        return None
    found = sides[side]
    if part == ANSWER:
        return found is not None
    return found.get(part) if found is not None else None


def _restarts(seen: Seen, policy: Policy) -> Said:
    """A host whose old slot was begun anew as well has been restarted; one whose old slot is silent, perhaps too."""
    if all(one.get(NEW) is None for one in seen.restarts.values()):
        return INSUFFICIENT, "its processes are not known"
    often = {host: one for host, one in seen.restarts.items() if (one.get(NEW) or 0) > policy.restarts_max}
    if not often:
        return PASS, "it was not started anew"
    words = f"it ended by itself on {', '.join(often)}"
    alone = [host for host, one in often.items() if one.get(OLD) == 0]
    if alone:
        return IMMEDIATE, words
    if any(one.get(OLD) is None for one in often.values()):
        return INSUFFICIENT, f"{words}, or its host did: the old slot does not tell"
    return HELD, f"{words}; so did the old release"

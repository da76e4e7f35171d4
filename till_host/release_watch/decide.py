"""Whether a release that serves since a short time is to go again: what was seen in, a decision with reasons out. Pure.

The guide's triggers (rollback procedures): an immediate one takes the release back by itself, one to consider asks
people, or does the same where policy says so. A fault that the old release has as well, or had before the deploy, moves
nothing: going back would help nobody. Too little traffic says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from till_host.release_watch.policy import Counts, Policy, Rule, Seen

PASS, INSUFFICIENT, HELD, CONSIDER, IMMEDIATE = "pass", "insufficient", "held", "consider", "immediate"
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


@dataclass(frozen=True)
class Decision:
    """`action` is rollback, tell, end or nothing; `said`: verdict and sentence of each measure; `reasons`: why."""

    action: str
    reasons: tuple[str, ...]
    said: Mapping[str, Said]


def decide(seen: Seen, memory: Memory, policy: Policy, now: float) -> Decision:
    """What to do at this look; brings the memory up to date."""
    said = {**dict(_health(seen, policy)), **dict(_measures(seen, policy)), "restarts": _restarts(seen, policy)}
    if seen.moved or any(said[part][0] == HELD for part in policy.health_hold_s):
        memory.common_at = now
    for name, (verdict, words) in said.items():
        if bad(verdict) and (excuse := _excuse(name, seen, memory, policy, now)):
            said[name] = (HELD, f"{words}; {excuse}")
    if seen.serves is False:
        said[LEFT] = (IMMEDIATE, "it has no traffic any more: somebody has led it elsewhere")
    held = _held(said, memory, policy, now)
    memory.told = [name for name in memory.told if said.get(name, (PASS, ""))[0] != PASS]
    return _decision(said, held, memory, policy)


def bad(verdict: str) -> bool:
    return verdict in (CONSIDER, IMMEDIATE)


def _decision(said: dict[str, Said], held: list[str], memory: Memory, policy: Policy) -> Decision:
    if LEFT in held:
        return Decision(END, (said[LEFT][1],), said)
    taking = [name for name in held if said[name][0] == IMMEDIATE or policy.consider == ROLLBACK]
    if taking:
        return Decision(ROLLBACK, tuple(said[name][1] for name in taking), said)
    fresh = [name for name in held if name not in memory.told]
    memory.told += fresh
    return Decision(TELL if fresh else "", tuple(said[name][1] for name in fresh), said)


def _held(said: Mapping[str, Said], memory: Memory, policy: Policy, now: float) -> list[str]:
    """Triggers that hold for as long as policy wants, without a break and at the same level."""
    keys = {name: f"{name} {verdict}" for name, (verdict, _) in said.items() if bad(verdict)}
    memory.since = {key: memory.since.get(key, now) for key in keys.values()}
    return [name for name, key in keys.items() if now - memory.since[key] >= policy.hold_s(name)]


def ripens(memory: Memory, policy: Policy, now: float) -> bool:
    """Whether something is bad, and not yet for as long as policy wants. Pure."""
    return any(now - since < policy.hold_s(key.split()[0]) for key, since in memory.since.items())


def _excuse(name: str, seen: Seen, memory: Memory, policy: Policy, now: float) -> str:
    """Why nobody may be blamed just now; empty when the release may."""
    if seen.moved:
        return "the leader or the names moved a moment ago"
    # What failed meanwhile is in the counts until their window has passed.
    window_s = policy.rules[name].window_s if name in policy.rules else 0.0
    if memory.common_at and now - memory.common_at <= window_s:
        return "the old release lacked the same within that time, or the leader moved"
    return ""


def _measures(seen: Seen, policy: Policy) -> Iterator[tuple[str, Said]]:
    for name, rule in policy.rules.items():
        if not seen.fresh:
            yield name, (INSUFFICIENT, "Prometheus tells nothing fresh")
            continue
        now = seen.new.get(name, Counts())
        words = f"{now.bad} of {now.requests} {rule.noun} {rule.bad} within {rule.window_s:g} s"
        verdict = _level(now, rule, policy)
        if bad(verdict):
            for other, where in ((seen.old, "on the old release beside it"), (seen.before, "before the deploy")):
                if _as_bad(other.get(name, Counts()), rule, policy, verdict):
                    verdict, words = HELD, f"{words}; it was no better {where}"
                    break
        elif verdict == INSUFFICIENT:
            words = f"{words}; {rule.requests_min} are needed to say"
        yield name, (verdict, words)


def _level(counts: Counts, rule: Rule, policy: Policy) -> str:
    if counts.requests < rule.requests_min:
        return INSUFFICIENT
    if counts.bad < policy.least_bad:
        return PASS
    if rule.immediate_ratio is not None and counts.ratio > rule.immediate_ratio:
        return IMMEDIATE
    return CONSIDER if rule.consider_ratio is not None and counts.ratio > rule.consider_ratio else PASS


def _as_bad(counts: Counts, rule: Rule, policy: Policy, verdict: str) -> bool:
    other = _level(counts, rule, policy)
    return other in (verdict, IMMEDIATE)


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

"""Whether the leader's key may be released before its lease ends. Pure.

A lease of Patroni's lasts 20 s at least. Its key may go earlier when nothing that was acknowledged can be lost by it:
the copy that takes over is the synchronous one, and one more host finds the leader's host silent, too. A leader that is
alive all the same can't acknowledge anything meanwhile, because each commit waits for that copy (docs/adr/0017).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from till_host.etcd import Key

NO_KEY = Key("", 0, 0, 0)


@dataclass(frozen=True)
class Cluster:
    """What the consensus store says in one answer.

    `term` is the revision at which the leader's key was made: another lease of the same leader has another one.
    """

    leader: str = ""
    term: int = 0
    lease: int = 0
    address: str = ""
    sync_leader: str = ""
    sync_standbys: tuple[str, ...] = ()
    sync_revision: int = 0
    strict: bool = False
    paused: bool = False
    moving: bool = False


@dataclass(frozen=True)
class Silence:
    """How long (s) an observer has heard nothing from the host of a leader."""

    observer: str
    leader: str
    term: int
    silent_s: float


def cluster(keys: dict[str, Key]) -> Cluster:
    """From Patroni's keys, by the names below its scope."""

    def document(name: str) -> dict[str, Any]:
        try:
            told = json.loads(keys[name].text)
        except (KeyError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    leader, sync, config = keys.get("leader", NO_KEY), document("sync"), document("config")
    name = leader.text
    url = document(f"members/{name}").get("api_url", "")
    return Cluster(
        leader=name,
        term=leader.created,
        lease=leader.lease,
        address=url.partition("://")[2].partition("/")[0].rpartition(":")[0],
        sync_leader=sync.get("leader") or "",
        sync_standbys=tuple(name for name in (sync.get("sync_standby") or "").split(",") if name),
        sync_revision=keys.get("sync", NO_KEY).changed,
        strict=bool(config.get("synchronous_mode")) and bool(config.get("synchronous_mode_strict")),
        paused=bool(config.get("pause")),
        # The key stays, empty, when a move has ended.
        moving=bool(document("failover")),
    )


def decide(
    me: str, seen: Cluster, silent_s: float, others: list[Silence], after_s: float, asked: bool = False
) -> tuple[bool, str]:
    """Whether this host is to release the leader's key now, and why or why not as a sentence.

    `silent_s`: how long this host has heard nothing from the leader's; `asked`: a person says that the host is gone,
    which stands for the other host's word and for the time.
    """
    no = _unsafe(me, seen)
    if no:
        return False, no
    if asked:
        return True, f"{seen.leader} is said to be gone; {me} is its synchronous copy"
    if silent_s < after_s:
        return False, f"{seen.leader} was silent for {silent_s:.1f} s, {after_s:g} s are needed"
    same = [one for one in others if one.observer not in (me, seen.leader) and one.leader == seen.leader]
    agree = [one for one in same if one.term == seen.term and one.silent_s >= after_s]
    if not agree:
        return False, f"{seen.leader} has been silent here for {silent_s:.1f} s, and no other host says so"
    told = ", ".join(f"{one.silent_s:.1f} s at {one.observer}" for one in agree)
    return True, f"{seen.leader} has been silent for {silent_s:.1f} s here, {told}; {me} is its synchronous copy"


def _unsafe(me: str, seen: Cluster) -> str:
    """Why the key may not go, whatever is silent; empty when it may."""
    if not seen.leader:
        return "nobody leads"
    if seen.leader == me:
        return f"{me} leads itself"
    if not seen.strict:
        return "synchronous mode is not strict: a copy may lack acknowledged payments"
    if seen.paused:
        return "Patroni is paused"
    if seen.moving:
        return "a move of the leader is under way"
    if seen.sync_leader != seen.leader or me not in seen.sync_standbys:
        copies = ", ".join(seen.sync_standbys) or "nobody"
        return f"{me} is not the synchronous copy of {seen.leader}: {copies} is"
    return ""

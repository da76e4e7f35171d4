"""Watch the fleet from this host, second by second, and keep what changes as events for people (`spool`).

What sites are like and who leads comes from the nameserver on loopback, which checks both each second (docs/adr/0016);
where names lead from the order that it goes by; what follows the leader from Patroni; whether a host is there from a
connection to it. What was told before this host came up stands in etcd. Settings: /etc/till/notify.json.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query

from till_host import files, patroni
from till_host.etcd import Etcd
from till_host.notifications import claim, messages, spool
from till_host.notifications.changes import PAYMENTS, Fleet, Memory, Seen, look
from till_host.notifications.quorum import Quorum

SETTINGS = Path("/etc/till/notify.json")
ORDER = Path("/var/lib/till-site-order/order")
MEMORY = spool.FOLDER / "memory.json"
# A database that leads or follows, in Patroni's words.
PATRONI_TIMEOUT_S = 2
FOLLOWS = ("running", "streaming", "in archive recovery")


class Away(threading.Thread):
    """Which hosts take no connection; a refused one is an answer, too."""

    def __init__(self, hosts: list[dict[str, str]], port: int, interval_s: float) -> None:
        super().__init__(daemon=True)
        self.hosts, self.port, self.interval_s = hosts, port, interval_s
        self.found: frozenset[str] = frozenset()

    def run(self) -> None:
        while True:
            self.found = frozenset(host["name"] for host in self.hosts if not self._answers(host["address"]))
            time.sleep(self.interval_s)

    def _answers(self, address: str) -> bool:
        try:
            socket.create_connection((address, self.port), timeout=2).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return True


def sites(settings: dict[str, Any]) -> tuple[dict[str, int], str]:
    """Ranks by site, and the one host that leads ("": nobody, or two). Raises OSError, ValueError, DNSException."""
    query = dns.message.make_query(settings["record"], "TXT")
    answer = dns.query.udp(query, "127.0.0.1", source="127.0.0.1", timeout=2, ignore_unexpected=True)
    if not answer.answer:
        raise ValueError(f"no answer to {settings['record']} TXT")
    words = dict(word.split("=", 1) for word in b"".join(answer.answer[0][0].strings).decode().split())
    leaders = [name for name in words.pop("leader").split(",") if name]
    return {site: int(rank) for site, rank in words.items()}, leaders[0] if len(leaders) == 1 else ""


def cluster(leader: str) -> tuple[frozenset[str], bool]:
    """Hosts whose copy leads or follows, and whether one is synchronous, as the leader's Patroni says."""
    try:
        members = patroni.read_cluster(leader, PATRONI_TIMEOUT_S)["members"]
    except (OSError, ValueError, KeyError):
        return frozenset(), False
    follow = {one["name"] for one in members if one["state"] in FOLLOWS}
    return frozenset(follow), any(one["role"] == "sync_standby" and one["name"] in follow for one in members)


def see(settings: dict[str, Any], memory: Memory, away: frozenset[str]) -> Seen:
    """One look; what only an incident needs is asked in one only."""
    ranks, leader = sites(settings)
    names = (ORDER.read_text().split() or [""])[0]
    at_rest = memory.state(PAYMENTS) == "possible" and "lost" not in memory.states.values()
    if at_rest and leader == memory.states.get("leader"):
        following, synchronous = frozenset(settings["site_of"]), True
    else:
        following, synchronous = cluster(leader) if leader else (frozenset(), False)
    return Seen(ranks, leader, names, following, synchronous, away)


def remembered(settings: dict[str, Any]) -> Memory:
    """What was told so far: as all hosts know it, else as this one does."""
    try:
        memory = Memory(**{**json.loads(MEMORY.read_text()), "since": {}, "blank_since": 0.0})
    except (OSError, ValueError, TypeError):
        memory = Memory()
    try:
        told = Etcd(settings["etcd"], settings["etcd_timeout_s"]).all(settings["key"])
    except OSError as reason:
        print(f"what was told before is taken from this host alone: {reason}", flush=True)
    else:
        memory.states |= {subject: claim.last_state(record) for subject, record in told.items() if record}
    return memory


def has_quorum(etcd: Etcd, settings: dict[str, Any], memory: Memory) -> bool:
    """Whether etcd answers; asked only while something is on its way to be told."""
    if not memory.since:
        return True
    try:
        etcd.get(settings["key"])
    except OSError:
        return False
    return True


def remember(memory: Memory) -> None:
    files.replace(MEMORY, json.dumps(memory.document()) + "\n")


def watch(settings: dict[str, Any]) -> None:
    fleet = Fleet(settings["site_of"], tuple(one["name"] for one in settings["neighbours"]), settings["hold"])
    memory, fault = remembered(settings), ""
    remember(memory)
    etcd, quorum = Etcd(settings["etcd"], settings["etcd_timeout_s"]), Quorum()
    away = Away(settings["neighbours"], settings["probe_port"], settings["probe_interval_s"])
    away.start()
    while True:
        began, told = time.monotonic(), ""
        try:
            seen = see(settings, memory, away.found)
        except (OSError, ValueError, KeyError, dns.exception.DNSException) as reason:
            seen, told = None, f"the nameserver does not tell: {type(reason).__name__} {reason}"
        if told != fault:
            print(told or "the nameserver tells again", flush=True)
            fault = told
        if seen is not None:
            now = time.time()
            # A host without a quorum that sees others gone may be the one that is cut off.
            answered = has_quorum(etcd, settings, memory)
            trusted = quorum.trusts(memory.since, answered, now, settings["quorum_patience_s"])
            changes = look(memory, seen, fleet, now) if trusted else []
            for change in changes:
                event = messages.event(change, memory, seen, fleet, settings["stack"], now)
                kept = spool.put({**event, "alone": not answered}, settings["host"])
                print(f"{kept['id']}: {event['title']}", flush=True)
            if changes:
                remember(memory)
        time.sleep(max(0.1, began + settings["interval_s"] - time.monotonic()))


def main() -> None:
    watch(json.loads(SETTINGS.read_text()))

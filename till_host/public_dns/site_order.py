"""Keep the order of sites in which this host's nameserver looks for one that is well.

First is the site in which the database leads. A site that had to give way comes first again after it has been well
for `hold_down_s`. Once a second the nameserver on loopback is asked what its own checks say, which also keeps them
going while nobody else asks; the order stands in a file that its LUA records read at each answer (docs/adr/0016).

It starts before the nameserver does, and asks the others first which site they lead to: what this host remembers is
from before it was away.

Settings: /etc/till/site-order.json. Ends with an error only when they, or the place of the order, are not usable.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query

from till_host import files
from till_host.public_dns import recall

SETTINGS = Path("/etc/till/site-order.json")
ORDER, HELD = Path("/var/lib/till-site-order/order"), Path("/var/lib/till-site-order/held")
WELL, ALIVE, GONE = range(3)
WORDS = {WELL: "well", ALIVE: "not well", GONE: "not there"}


@dataclass(frozen=True)
class Seen:
    """What the nameserver's checks say: each site's rank (0 well, 1 its edge answers, 2 nothing), who leads."""

    ranks: dict[str, int]
    leaders: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Seen:
        """From "alpha=0 bravo=2 leader=alpha"; raises ValueError."""
        words = dict(word.split("=", 1) for word in text.split())
        leaders = tuple(name for name in words.pop("leader").split(",") if name)
        return cls({site: int(rank) for site, rank in words.items()}, leaders)


@dataclass
class Memory:
    """Which site is first; when a site that gave way was last worse than another (s, any steady clock); since when
    such a site would be taken back before its time (None: it would not)."""

    first: str
    worse_at: dict[str, float] = field(default_factory=dict)
    back_since: float | None = None


@dataclass(frozen=True)
class Hold:
    """Times (s): for which a site that gave way must be well to be taken back; for which it must be the better one to
    be taken back before that, while the one in its place answers."""

    down_s: float
    back_s: float


def decide(memory: Memory, seen: Seen, site_of: dict[str, str], now: float, hold: Hold) -> tuple[Memory, str]:
    """Who is first now, and why as a sentence; an empty one when nothing changes.

    Nobody or more than one leading says nothing new: who was first stays so while no site is better. A site that gave
    way waits while another one is well; where none is, only as long as that may be of a moment: with a link that drops,
    the other site is well again a moment after the leading one is.
    """
    best = min(seen.ranks.values())
    good = [site for site, rank in seen.ranks.items() if rank == best]
    worse_at = {
        site: now if site not in good else at
        for site, at in memory.worse_at.items()
        if site not in good or now - at < hold.down_s
    }
    leading = site_of.get(seen.leaders[0], "") if len(seen.leaders) == 1 else ""
    wanted = leading if leading in seen.ranks else memory.first
    back_since = now if memory.back_since is None else memory.back_since
    waits = Memory(memory.first, worse_at, back_since), ""
    if memory.first not in good:
        rested = [site for site in good if site not in worse_at]
        if not rested and seen.ranks.get(memory.first) == ALIVE and now - back_since < hold.back_s:
            return waits
        rested = rested or good
        first = wanted if wanted in rested else rested[0]
        if memory.first in seen.ranks:
            worse_at[memory.first] = now
            why = f"{memory.first} is {WORDS[seen.ranks[memory.first]]}, {first} is {WORDS[best]}"
        else:
            why = f"{memory.first} is no site any more"
        return Memory(first, worse_at), f"{first} is first: {why}"
    if wanted != memory.first and wanted in good and (wanted not in worse_at or best != WELL):
        if wanted in worse_at and seen.ranks[memory.first] == ALIVE and now - back_since < hold.back_s:
            return waits
        return Memory(wanted, worse_at), f"{wanted} is first: the database leads there"
    return Memory(memory.first, worse_at), ""


def order(first: str, sites: list[str]) -> str:
    return " ".join([first, *(site for site in sites if site != first)]) + "\n"


def ask(settings: dict[str, Any]) -> Seen:
    """The nameserver's own view; raises OSError, ValueError or dns.exception.DNSException."""
    query = dns.message.make_query(settings["record"], "TXT")
    # From loopback: a socket of any address would be one more port that this host listens on, each second anew.
    options = {"port": settings["port"], "source": "127.0.0.1", "timeout": settings["query_timeout_s"]}
    answer = dns.query.udp(query, "127.0.0.1", ignore_unexpected=True, **options)
    if not answer.answer:
        raise ValueError(f"no answer to {settings['record']} TXT")
    return Seen.parse(b"".join(answer.answer[0][0].strings).decode())


def remembered(sites: list[str]) -> str:
    try:
        first = (ORDER.read_text().split() or [""])[0]
    except FileNotFoundError:
        first = ""
    return first if first in sites else sites[0]


def held(memory: Memory) -> str:
    """The sites that gave way a moment ago: not answered while the first one's edge answers."""
    return " ".join(sorted(site for site in memory.worse_at if site != memory.first)) + "\n"


def keep(file: Path, text: str) -> None:
    """The file's time is that of the last change: `till status` tells it."""
    if file.exists() and file.read_text() == text:
        return
    files.replace(file, text)


def begun(before: str, recalled: str, now: float) -> Memory:
    """What is known at the start: the site that others lead to, where they agree on one, has taken its place. Pure."""
    if not recalled or recalled == before:
        return Memory(before)
    return Memory(recalled, {before: now})


def ready() -> None:
    """Tell systemd that the nameserver may start (sd_notify)."""
    if place := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", place.replace("@", "\0", 1) if place.startswith("@") else place)


def watch(settings: dict[str, Any]) -> None:
    sites, before = settings["sites"], remembered(settings["sites"])
    memory = begun(before, recall.recall(settings), time.monotonic())
    hold = Hold(settings["hold_down_s"], settings["back_s"])
    keep(ORDER, order(memory.first, sites))
    keep(HELD, held(memory))
    if memory.first != before:
        print(f"{memory.first} is first: the other nameservers lead there", flush=True)
    ready()
    fault, blank, quiet_until = "", True, 0.0
    while True:
        began = time.monotonic()
        try:
            seen = ask(settings)
        except (OSError, ValueError, dns.exception.DNSException) as reason:
            seen, told = None, f"the nameserver does not tell: {type(reason).__name__} {reason}"
        else:
            told = ""
        if told != fault:
            print(told or "the nameserver tells again", flush=True)
            fault = told
        # A nameserver that has just started holds everything for gone until each check has come back.
        was_blank, blank = blank, seen is None or set(seen.ranks.values()) == {GONE}
        if seen is None or blank != was_blank:
            quiet_until = began + settings["settle_s"]
        elif began >= quiet_until:
            memory, sentence = decide(memory, seen, settings["site_of"], began, hold)
            keep(HELD, held(memory))
            if sentence:
                keep(ORDER, order(memory.first, sites))
                print(sentence, flush=True)
        time.sleep(max(0.1, began + settings["interval_s"] - time.monotonic()))


def main() -> None:
    watch(json.loads(SETTINGS.read_text()))

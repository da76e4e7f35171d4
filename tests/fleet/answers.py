"""What every nameserver, and a caching resolver outside, answers for the shop's name, second by second."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.query

from infra.contract import Contract, Role
from tests.fleet.conftest import container

INTERVAL_S = 0.2
RESOLVER = "resolver"
# The resolver answers its own host only; the C library there asks it anew each time.
ASKED_OUTSIDE = """
import socket, sys, time
while True:
    try:
        found = sorted({one[4][0] for one in socket.getaddrinfo(sys.argv[1], 443, type=socket.SOCK_STREAM)})
    except socket.gaierror as reason:
        # It gave no answer in time, or could not: silence, and no "there is none".
        found = ["-"] if reason.errno == socket.EAI_AGAIN else []
    except OSError:
        found = []
    print(time.time(), *found, flush=True)
    time.sleep(float(sys.argv[2]))
"""


@dataclass(frozen=True)
class Answer:
    """At a time (s since the epoch) somebody answered these addresses; None is silence."""

    at: float
    who: str
    addresses: tuple[str, ...] | None


class Answers:
    """Collects in the background while the block runs."""

    def __init__(self, lab: Contract) -> None:
        self.lab, self.all, self._over = lab, list[Answer](), threading.Event()
        self.nameservers = {host.name: host.address for host in lab.hosts if Role.NAMESERVER in host.roles}
        self.site_of = {host.address: host.site for host in lab.hosts}

    def __enter__(self) -> Answers:
        program = ["python3", "-u", "-c", ASKED_OUTSIDE, self.lab.names.shop, str(INTERVAL_S)]
        self._outside = subprocess.Popen(
            ["docker", "exec", container("outside"), *program], stdout=subprocess.PIPE, text=True
        )
        asked = [threading.Thread(target=self._ask, args=one, daemon=True) for one in self.nameservers.items()]
        self._threads = [*asked, threading.Thread(target=self._read, daemon=True)]
        for thread in self._threads:
            thread.start()
        self.wait(lambda: {one.who for one in self.all} == {*self.nameservers, RESOLVER}, 20, "nobody answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._outside.kill()
        self._outside.wait()
        # Killing the client leaves the program in the container.
        subprocess.run(
            ["docker", "exec", container("outside"), "pkill", "-f", "socket.getaddrinfo"], capture_output=True
        )
        for thread in self._threads:
            thread.join(5)

    def _ask(self, name: str, address: str) -> None:
        while not self._over.is_set():
            asked_at = time.time()
            try:
                reply = dns.query.udp(dns.message.make_query(self.lab.names.shop, "A"), address, timeout=1)
                found = tuple(sorted(record.address for rrset in reply.answer for record in rrset))
                self.all.append(Answer(time.time(), name, found))
            except (OSError, dns.exception.DNSException):
                self.all.append(Answer(time.time(), name, None))
            self._over.wait(max(0.0, asked_at + INTERVAL_S - time.time()))

    def _read(self) -> None:
        assert self._outside.stdout
        for line in self._outside.stdout:
            at, *found = line.split()
            self.all.append(Answer(float(at), RESOLVER, None if found == ["-"] else tuple(found)))

    def wait(self, holds: object, deadline_s: float, what: str) -> None:
        deadline = time.monotonic() + deadline_s
        while not holds():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"{what}; last answers: {self.last()}"
            time.sleep(INTERVAL_S / 2)

    def last(self, since: float = 0) -> dict[str, str]:
        """The site that each answered last, after that time; "silence", "empty"."""
        return {one.who: self.site(one) for one in list(self.all) if one.at > since}

    def site(self, answer: Answer) -> str:
        if answer.addresses is None:
            return "silence"
        return "+".join(sorted({self.site_of.get(one, one) for one in answer.addresses})) or "empty"

    def sites(self, since: float, *who: str) -> set[str]:
        """All that was answered since then, by these or by all."""
        return {self.site(one) for one in list(self.all) if one.at >= since and (not who or one.who in who)}

    def switched(self, site: str, since: float, within_s: float, *silent: str) -> dict[str, float]:
        """Seconds after `since` from which each answered that site and no other; fails when one did not in time."""
        expected = {*self.nameservers, RESOLVER} - set(silent)
        self.wait(
            lambda: {who for who, told in self.last(since).items() if told == site} >= expected, within_s, f"not {site}"
        )
        other = {one.who: one.at for one in list(self.all) if one.at >= since and self.site(one) != site}
        return {who: round(max(0.0, other.get(who, since) - since), 1) for who in sorted(expected)}

    def story(self, since: float) -> dict[str, list[str]]:
        """What each answered last before that time, then each change with its seconds; silence is no answer."""
        found: dict[str, list[tuple[float, str]]] = {who: [] for who in (*self.nameservers, RESOLVER)}
        for one in list(self.all):
            told = found[one.who]
            if one.addresses is None:
                continue
            if one.at < since:
                told[:] = [(0.0, self.site(one))]
            elif not told or told[-1][1] != self.site(one):
                told.append((one.at - since, self.site(one)))
        return {who: [f"{at:.1f} s {site}" for at, site in told] for who, told in found.items()}

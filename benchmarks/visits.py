"""Visits at a fixed rate through DNS and TLS, whatever the answers take; who answered, and how long it took."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from infra.contract import Contract
from till.observe import probe
from till.public_dns import lookup

TIMEOUT_S = 10
RESOLVE_INTERVAL_S = 1.0
PATH = "/api/version"


@dataclass(frozen=True)
class Visit:
    """When it was due (s since the epoch), how long its answer took from then on, the status (0: none), the version."""

    at: float
    took_s: float
    status: int
    version: str


class Visited:
    """What was visited until now."""

    all: list[Visit]

    @property
    def failed(self) -> list[Visit]:
        return [one for one in self.all if one.status != 200]

    def of(self, version: str, since: float = 0) -> list[Visit]:
        return [one for one in self.all if one.version == version and one.at >= since]


@dataclass
class Visits(Visited):
    """So many visits a second until the block ends, or for `limit_s` at most; each has a connection of its worker."""

    contract: Contract
    per_s: float
    path: str = PATH
    limit_s: float = 180
    workers: int = 8
    cookie: str = ""
    port: int = 443
    all: list[Visit] = field(default_factory=list)

    def __enter__(self) -> Visits:
        self._trust = probe.public_trust(self.contract)
        self._address = lookup.resolve(self.contract, self.contract.names.shop)[0]
        self._over, self._lock, self._number = threading.Event(), threading.Lock(), 0
        self._began = time.time()
        self._threads = [threading.Thread(target=self._worker, daemon=True) for _ in range(self.workers)]
        self._threads.append(threading.Thread(target=self._resolver, daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _k: type[BaseException] | None, _v: BaseException | None, _t: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S + 5)

    def _resolver(self) -> None:
        while not self._over.wait(RESOLVE_INTERVAL_S):
            self._address = lookup.resolve(self.contract, self.contract.names.shop)[0]

    def _worker(self) -> None:
        link: tuple[str, http.client.HTTPSConnection] | None = None
        while not self._over.is_set():
            with self._lock:
                due, self._number = self._began + self._number / self.per_s, self._number + 1
            if due - self._began > self.limit_s or self._over.wait(max(0.0, due - time.time())):
                return
            address = self._address
            if link is None or link[0] != address:
                link = (address, _Named(self.contract.names.shop, (address, self.port), self._trust))
            status, version = 0, ""
            try:
                link[1].request("GET", self.path, headers={"Cookie": self.cookie} if self.cookie else {})
                answer = link[1].getresponse()
                text = answer.read().decode(errors="replace")
                status, version = answer.status, text.partition('"version":"')[2].partition('"')[0]
            except (OSError, http.client.HTTPException):
                link = None
            self.all.append(Visit(due, time.time() - due, status, version))


class _Named(http.client.HTTPSConnection):
    """A connection to an address and port, with TLS for a name."""

    def __init__(self, name: str, address: tuple[str, int], trust: ssl.SSLContext) -> None:
        super().__init__(name, timeout=TIMEOUT_S, context=trust)
        self._address, self._trust = address, trust

    def connect(self) -> None:
        import socket

        raw = socket.create_connection(self._address, self.timeout)
        self.sock = self._trust.wrap_socket(raw, server_hostname=self.host)

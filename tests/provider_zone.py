"""A DNS provider: PowerDNS with a zone, its API and signed updates (RFC 2136), while a test runs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query

from infra.contract import DnsProvider
from tools.command import as_root
from tools.machine import found

ZONE = "lab.test"
API_PORT = 8081
API_KEY = "canary-api-key-5d1e7a"
TSIG_NAME = "till"
TSIG_SECRET = "Y2FuYXJ5LXRzaWctc2VjcmV0LW9mLXRoaXMtdGVzdCE="
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
START_DEADLINE_S = 20
# It stops by itself, whatever becomes of the test.
LIFETIME_S = 3600
# By which address this machine speaks to itself is its own affair: key and TSIG decide.
SETTINGS = """launch=gsqlite3
gsqlite3-database={folder}/zone.sqlite3
local-address={address}
local-port=53
socket-dir={folder}
security-poll-suffix=
dnsupdate=yes
allow-dnsupdate-from=0.0.0.0/0
api=yes
api-key={key}
webserver=yes
webserver-address={address}
webserver-port={api_port}
webserver-allow-from=0.0.0.0/0
webserver-loglevel=none
"""
# What somebody else keeps in the zone, beside Till's names and at them.
FOREIGN = {
    ("www.lab.test.", "A"): "192.0.2.80",
    ("lab.test.", "MX"): "10 mail.lab.test.",
    ("shop.lab.test.", "TXT"): '"keep me"',
    ("shop.lab.test.", "AAAA"): "2001:db8::80",
    ("other.shop.lab.test.", "A"): "192.0.2.81",
}


@dataclass(frozen=True)
class Provider:
    """Its only address, where it answers on port 53 and, by HTTP, on API_PORT; `folder` has its settings and zone."""

    address: str
    folder: Path

    def tell(self, *arguments: str) -> None:
        """Run pdnsutil, and have the server forget what it remembers."""
        _tell(self.folder, *arguments)
        _run("pdns_control", f"--config-dir={self.folder}", "purge", root=True)

    def add(self, name: str, kind: str, content: str) -> None:
        """Add a record as the zone's owner would, by hand; `name` with the zone, without a trailing dot."""
        self.tell("add-record", ZONE, _label(name), kind, "3600", content)

    def allow_updates_by(self, key: str) -> None:
        self.tell("set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", key)

    def by(self, name: str, **credentials: str) -> DnsProvider:
        """The contract's part for one of the two modules of dns-lexicon that speak to it."""
        if name == "ddns":
            options, given = {"ddns_server": self.address}, {"auth_token": f"hmac-sha256:{TSIG_NAME}:{TSIG_SECRET}"}
        else:
            options, given = {"pdns_server": f"http://{self.address}:{API_PORT}"}, {"auth_token": API_KEY}
        return DnsProvider.model_validate(
            {
                "provider": name,
                "options": options,
                "credentials": given | credentials,
                "nameservers": [self.address],
            }
        )

    def answer(self, name: str, kind: str = "A") -> tuple[list[str], int | None]:
        """Contents and TTL that it answers, with authority."""
        reply = dns.query.udp(dns.message.make_query(name, kind), self.address, timeout=3)
        assert reply.flags & dns.flags.AA, reply
        (rrset,) = reply.answer or (None,)
        return ([], None) if rrset is None else (sorted(str(one) for one in rrset), rrset.ttl)

    def serial(self) -> int:
        return int(self.answer(ZONE, "SOA")[0][0].split()[2])

    def foreign(self) -> dict[tuple[str, str], str]:
        return {key: self.answer(*key)[0][0] for key in FOREIGN}


@contextmanager
def running(folder: Path, address: str = "", foreign: Mapping[tuple[str, str], str] = FOREIGN) -> Iterator[Provider]:
    """The server with the zone and what is foreign in it, by default on loopback; gone at the end."""
    number = os.getpid()
    server = Provider(address or f"127.53.{number >> 8 & 255}.{number & 255}", folder)
    (folder / "pdns.conf").write_text(
        SETTINGS.format(folder=folder, address=server.address, key=API_KEY, api_port=API_PORT)
    )
    database = folder / "zone.sqlite3"
    with sqlite3.connect(database) as made:
        made.executescript(SCHEMA.read_text())
    _tell(folder, "create-zone", ZONE, f"ns.{ZONE}")
    _tell(folder, "add-record", ZONE, "ns", "A", "3600", server.address)
    for (name, kind), content in foreign.items():
        _tell(folder, "add-record", ZONE, _label(name), kind, "3600", content)
    _tell(folder, "import-tsig-key", TSIG_NAME, "hmac-sha256", TSIG_SECRET)
    _tell(folder, "set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", TSIG_NAME)
    _tell(folder, "set-meta", ZONE, "SOA-EDIT-DNSUPDATE", "INCREASE")
    program = found("pdns_server") or "pdns_server"
    argv = as_root(["timeout", str(LIFETIME_S), program, f"--config-dir={folder}", "--guardian=no", "--daemon=no"])
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _await(server, process, folder / "log")
        yield server
    finally:
        subprocess.run(as_root(["kill", str(process.pid)]), check=False)
        process.wait(10)


def _label(name: str) -> str:
    return name.rstrip(".").removesuffix(ZONE).rstrip(".") or "@"


def _tell(folder: Path, *arguments: str) -> None:
    _run("pdnsutil", f"--config-dir={folder}", *arguments)


def _run(program: str, *arguments: str, root: bool = False) -> None:
    argv = [found(program) or program, *arguments]
    done = subprocess.run(as_root(argv) if root else argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, (program, arguments, done.stdout, done.stderr)


def _await(server: Provider, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            server.serial()
        except (OSError, dns.exception.DNSException):
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
        else:
            return

"""A CA finds a certificate order's challenge past the provider: its resolver is Unbound, both nameservers PowerDNS."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from infra.lab import images
from tests.provider_zone import ZONE, running

NUMBER = os.getpid() % 250 + 1
OWN, RESOLVER = f"127.54.0.{NUMBER}", f"127.55.0.{NUMBER}"
CHALLENGE = f"_acme-challenge.shop.{ZONE}"
LIFETIME_S = 60
START_DEADLINE_S = 20
# As strict as resolvers of CAs are known to be.
SETTINGS = """server:
    interface: {resolver}
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    chroot: ""
    username: ""
    directory: "/tmp"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
    do-not-query-localhost: no
    qname-minimisation: yes
    harden-glue: yes
    harden-below-nxdomain: yes
    use-caps-for-id: yes
    local-zone: "test." nodefault
stub-zone:
    name: "{zone}."
    stub-addr: {provider}
remote-control:
    control-enable: no
"""


def asked(name: str, kind: str) -> tuple[int, list[str]]:
    """The answer's code and contents, from the resolver."""
    reply = dns.query.udp(dns.message.make_query(name, kind), RESOLVER, timeout=5)
    return reply.rcode(), [str(record) for rrset in reply.answer for record in rrset]


@contextmanager
def resolver(folder: Path, provider: str) -> Iterator[None]:
    """Unbound that knows of the zone no more than the provider's nameserver; ends by itself after LIFETIME_S."""
    (folder / "unbound.conf").write_text(SETTINGS.format(resolver=RESOLVER, zone=ZONE, provider=provider))
    folder.chmod(0o755)
    name = f"till-test-unbound-{NUMBER}"
    program = ["timeout", str(LIFETIME_S), "unbound", "-d", "-c", "/settings/unbound.conf"]
    subprocess.run(
        ["docker", "run", "--detach", "--rm", "--name", name, "--network", "host", "--volume", f"{folder}:/settings:ro",
         "--entrypoint", program[0], images.newest("till-lab"), *program[1:]],
        check=True, capture_output=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                asked(ZONE, "SOA")
                break
            except (OSError, dns.exception.DNSException):
                assert time.monotonic() < deadline, "the resolver does not answer"
                time.sleep(0.2)
        yield
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True)


def test_the_challenge_is_found_at_the_stacks_nameserver_and_only_where_it_is_delegated(tmp_path: Path) -> None:
    for name in ("provider", "own", "resolver"):
        (tmp_path / name).mkdir()
    with running(tmp_path / "provider") as provider, running(tmp_path / "own", OWN) as own:
        provider.add(f"ns1.{ZONE}", "A", own.address)
        provider.add(CHALLENGE, "NS", f"ns1.{ZONE}.")
        own.add(CHALLENGE, "TXT", '"the challenge"')
        own.add(f"_acme-challenge.admin.{ZONE}", "TXT", '"not delegated"')
        own.add(f"shop.{ZONE}", "A", "192.0.2.99")
        tmp_path.chmod(0o755)
        with resolver(tmp_path / "resolver", provider.address):
            assert asked(CHALLENGE, "TXT") == (dns.rcode.NOERROR, ['"the challenge"'])
            # A CA also asks whether it may issue; nobody forbids it.
            assert asked(CHALLENGE, "CAA") == asked(f"shop.{ZONE}", "CAA") == (dns.rcode.NOERROR, [])
            assert asked(f"_acme-challenge.admin.{ZONE}", "TXT") == (dns.rcode.NXDOMAIN, [])
            assert asked(f"shop.{ZONE}", "TXT") == (dns.rcode.NOERROR, ['"keep me"'])
            # The provider has no A record of the shop yet, and what stands elsewhere does not leak.
            assert asked(f"shop.{ZONE}", "A") == (dns.rcode.NOERROR, [])

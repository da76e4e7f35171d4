"""Certbot's hook for DNS-01: write or remove a challenge on every nameserver of the zone.

    acme-dns add | remove       with CERTBOT_DOMAIN and CERTBOT_VALIDATION in the environment

An update is signed (RFC 2136, TSIG). "add" returns when each nameserver that can be reached answers the value: one
that is down answers the CA as little as us, and must not hold up a renewal. It is an error when none can be reached.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update

SETTINGS = Path("/etc/till/credentials/certificate.json")
QUERY_TIMEOUT_S = 3


def change(verb: str, server: str, owner: dns.name.Name, value: str, settings: dict[str, object]) -> None:
    zone = dns.name.from_text(str(settings["zone"]))
    keys = dns.tsigkeyring.from_text({str(settings["tsig_name"]): str(settings["tsig_secret"])})
    update = dns.update.UpdateMessage(zone, keyring=keys, keyalgorithm="hmac-sha256")
    if verb == "add":
        # TTL 0: another host's challenge for the same name may follow at once.
        update.add(owner, 0, "TXT", f'"{value}"')
    else:
        update.delete(owner, "TXT", f'"{value}"')
    answer = dns.query.tcp(update, server, timeout=QUERY_TIMEOUT_S)
    if answer.rcode() != dns.rcode.NOERROR:
        raise RuntimeError(f"{server} refused the update: {dns.rcode.to_text(answer.rcode())}")


def answers(server: str, owner: dns.name.Name, value: str) -> bool:
    reply = dns.query.udp(dns.message.make_query(owner, "TXT"), server, timeout=QUERY_TIMEOUT_S)
    return any(value in str(record) for rrset in reply.answer for record in rrset)


def wait(server: str, owner: dns.name.Name, value: str, deadline_s: float) -> None:
    deadline = time.monotonic() + deadline_s
    while not answers(server, owner, value):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server} does not answer the challenge of {owner} after {deadline_s} s")
        time.sleep(0.1)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments not in (["add"], ["remove"]):
        print(__doc__, file=sys.stderr)
        return 2
    settings = json.loads(SETTINGS.read_text())
    owner = dns.name.from_text("_acme-challenge." + os.environ["CERTBOT_DOMAIN"])
    value = os.environ["CERTBOT_VALIDATION"]
    reached = []
    for server in settings["nameservers"]:
        try:
            change(arguments[0], server, owner, value, settings)
            reached.append(server)
        except (OSError, dns.exception.Timeout) as reason:
            print(f"acme-dns: nameserver {server} can't be reached: {reason}", file=sys.stderr)
        except RuntimeError as reason:
            print(f"acme-dns: {reason}", file=sys.stderr)
            return 1
    if not reached:
        print("acme-dns: no nameserver can be reached", file=sys.stderr)
        return 1
    if arguments[0] == "add":
        try:
            for server in reached:
                wait(server, owner, value, settings["challenge_deadline_s"])
        except (OSError, dns.exception.DNSException, RuntimeError) as reason:
            print(f"acme-dns: {reason}", file=sys.stderr)
            return 1
    return 0

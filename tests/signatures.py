"""Whether what a nameserver answers is signed by its zone's key, as a validating resolver would ask."""

from __future__ import annotations

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype

TIMEOUT_S = 5


def ask(address: str, name: str, kind: str) -> dns.message.Message:
    question = dns.message.make_query(name, kind, want_dnssec=True)
    return dns.query.tcp(question, address, timeout=TIMEOUT_S)


def key(address: str, zone: str) -> dns.rrset.RRset | None:
    """The zone's DNSKEY set, None where it has none."""
    answer = ask(address, zone, "DNSKEY").answer
    return next((one for one in answer if one.rdtype == dns.rdatatype.DNSKEY), None)


def validated(address: str, zone: str, name: str, kind: str) -> dns.message.Message:
    """An answer of which each set is signed; raises AssertionError or dns.dnssec.ValidationFailure."""
    owner, keys = dns.name.from_text(zone), key(address, zone)
    assert keys is not None, f"{zone} has no key at {address}"
    answer = ask(address, name, kind)
    found = 0
    for section in (answer.answer, answer.authority):
        for rrset in section:
            if rrset.rdtype == dns.rdatatype.RRSIG:
                continue
            signature = answer.get_rrset(section, rrset.name, dns.rdataclass.IN, dns.rdatatype.RRSIG, rrset.rdtype)
            assert signature is not None, f"{address}: not signed: {rrset}"
            dns.dnssec.validate(rrset, signature, {owner: keys})
            found += 1
    assert found, f"{address} answers nothing to {name} {kind}"
    return answer

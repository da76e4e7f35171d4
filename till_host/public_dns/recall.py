"""Which site the stack's other nameservers answer, for one that has just started: what it remembers is from before."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.exception
import dns.message
import dns.query


def agreed(answers: Iterable[list[str] | None], site_at: dict[str, str]) -> str:
    """The one site that all who answered lead to, each by its addresses; "" where none did or they differ. Pure."""
    sites = {site_at.get(address, "") for answer in answers if answer for address in answer}
    return sites.pop() if len(sites) == 1 else ""


def recall(settings: dict[str, Any]) -> str:
    """Asks all of them at once, for `query_timeout_s` at most; "" where they know nothing better."""
    others, site_at = settings["others"], settings["site_at"]
    if not others:
        return ""
    kind = "AAAA" if all(":" in address for address in site_at) else "A"
    query = dns.message.make_query(settings["name"], kind)

    def ask(address: str) -> list[str] | None:
        try:
            reply = dns.query.udp(query, address, port=settings["port"], timeout=settings["query_timeout_s"])
        except (OSError, dns.exception.DNSException):
            return None
        return [record.address for rrset in reply.answer for record in rrset if hasattr(record, "address")]

    with ThreadPoolExecutor(len(others)) as pool:
        return agreed(pool.map(ask, others), site_at)

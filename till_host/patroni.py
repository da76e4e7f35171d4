"""Patroni's REST API, asked by a member's name or address; the host's CA vouches for it."""

from __future__ import annotations

import email.utils
import json
import ssl
import urllib.request
from collections.abc import Iterable
from typing import Any

from till_host.https import CA

PORT = 8008
LEADER_TIMEOUT_S = 3.0


def read_cluster(member: str, timeout_s: float) -> dict[str, Any]:
    """The cluster as this member knows it: `members`, each with name, role and state. Raises OSError, ValueError."""
    with _opened(member, "cluster", timeout_s) as answer:
        return dict(json.loads(answer.read()))


def find_leader(members: Iterable[str]) -> tuple[str, float] | None:
    """The first member that says that it leads, and its clock (s since the epoch); None: nobody leads."""
    for member in members:
        try:
            with _opened(member, "primary", LEADER_TIMEOUT_S) as answer:
                return member, email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except OSError:
            continue
    return None


def _opened(member: str, path: str, timeout_s: float) -> Any:
    """An answer of status 200. Raises OSError, urllib's HTTPError among them."""
    trust = ssl.create_default_context(cafile=CA)
    return urllib.request.urlopen(f"https://{member}:{PORT}/{path}", timeout=timeout_s, context=trust)

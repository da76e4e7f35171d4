"""What the key of the host that holds drills may ask for: faults of this host, their healing, a planned switchover."""

from __future__ import annotations

import re

from till_host import ssh_gate

ALLOWED = (
    re.compile(r"fault begin (host-kill|site-partition|db-kill|edge-kill|dns-kill) --for [1-9][0-9]{0,2}"),
    re.compile(r"fault (heal|status)"),
    re.compile(r"switchover [a-z0-9][a-z0-9-]{0,62} [1-9][0-9]{0,2}"),
)


def words(asked: str) -> list[str]:
    """The words of what was asked when it is allowed, else none. Pure."""
    return ssh_gate.parse(asked, ALLOWED)


def main() -> int:
    return ssh_gate.run("drill-gate", ALLOWED, "ask for fault and switchover")

"""What the key of the host that holds drills may ask for: faults of this host, their healing, a planned switchover.

sshd runs this in the place of whatever was asked (command= of the key); all else is refused with exit code 126.
"""

from __future__ import annotations

import os
import re
import sys
import syslog

FOLDER = "/opt/till-host/current/bin"
ALLOWED = (
    re.compile(r"fault begin (host-kill|site-partition|db-kill|edge-kill|dns-kill) --for [1-9][0-9]{0,2}"),
    re.compile(r"fault (heal|status)"),
    re.compile(r"switchover [a-z0-9][a-z0-9-]{0,62} [1-9][0-9]{0,2}"),
)
REFUSED = 126


def words(asked: str) -> list[str]:
    """The words of what was asked when it is allowed, else none. Pure."""
    return asked.split(" ") if any(pattern.fullmatch(asked) for pattern in ALLOWED) else []


def main() -> int:
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    allowed = words(asked)
    syslog.openlog("drill-gate")
    syslog.syslog(f"{'allowed' if allowed else 'refused'}: {asked[:200]!r}")
    if not allowed:
        print("drill-gate: this key may ask for fault and switchover, and nothing else", file=sys.stderr)
        return REFUSED
    return os.execv(f"{FOLDER}/{allowed[0]}", allowed)  # noqa: S606 - no shell on purpose

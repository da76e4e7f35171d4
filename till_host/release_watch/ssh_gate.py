"""What the key of the host that watches releases may ask for: slots of this host shown, switched and drained.

sshd runs this in the place of whatever was asked (command= of the key); all else is refused with exit code 126.
"""

from __future__ import annotations

import os
import re
import sys
import syslog

FOLDER = "/opt/till-host/current/bin"
ALLOWED = (
    re.compile(r"slots (show|drain)"),
    re.compile(r"slots switch (blue|green) --drop --fence [1-9][0-9]{0,15}"),
)
REFUSED = 126


def words(asked: str) -> list[str]:
    """The words of what was asked when it is allowed, else none. Pure."""
    return asked.split(" ") if any(pattern.fullmatch(asked) for pattern in ALLOWED) else []


def main() -> int:
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    allowed = words(asked)
    syslog.openlog("watch-gate")
    # It looks twice a minute: only what moves something is worth a line.
    if allowed[1:2] != ["show"]:
        syslog.syslog(f"{'allowed' if allowed else 'refused'}: {asked[:200]!r}")
    if not allowed:
        print("watch-gate: this key may show, switch and drain slots, and nothing else", file=sys.stderr)
        return REFUSED
    return os.execv(f"{FOLDER}/{allowed[0]}", allowed)  # noqa: S606 - no shell on purpose

"""What an SSH key of another host may ask for: sshd runs a gate in the place of what was asked (command= of the key).

What matches none of the gate's patterns is refused with exit code REFUSED; what does is run without a shell.
"""

from __future__ import annotations

import os
import re
import sys
import syslog
from collections.abc import Sequence

FOLDER = "/opt/till-host/current/bin"
REFUSED = 126


def parse(asked: str, allowed: Sequence[re.Pattern[str]]) -> list[str]:
    """The words of what was asked when it is allowed, else none. Pure."""
    return asked.split(" ") if any(pattern.fullmatch(asked) for pattern in allowed) else []


def run(name: str, allowed: Sequence[re.Pattern[str]], purpose: str, quiet: str = "") -> int:
    """Become the program that was asked for; `purpose` tells who is refused what the key may ask for.

    Every question is a line of the journal, but for those that are allowed and whose second word is `quiet`.
    """
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    words = parse(asked, allowed)
    syslog.openlog(name)
    if not quiet or words[1:2] != [quiet]:
        syslog.syslog(f"{'allowed' if words else 'refused'}: {asked[:200]!r}")
    if not words:
        print(f"{name}: this key may {purpose}, and nothing else", file=sys.stderr)
        return REFUSED
    return os.execv(f"{FOLDER}/{words[0]}", words)  # noqa: S606 - no shell on purpose

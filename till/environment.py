"""What programs on the controller get of our own environment."""

from __future__ import annotations

import os

# What they need, and nothing else.
ALLOWED_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "TERM", "TMPDIR", "TZ", "USER")


def environment() -> dict[str, str]:
    """Our own environment, cut to what is allowed through."""
    found = {name: os.environ[name] for name in ALLOWED_ENVIRONMENT if name in os.environ}
    return {"LANG": "C.UTF-8", **found}

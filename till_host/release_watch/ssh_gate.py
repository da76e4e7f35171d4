"""What the key of the host that watches releases may ask for: slots of this host shown, switched and drained."""

from __future__ import annotations

import re

from till_host import ssh_gate

ALLOWED = (
    re.compile(r"slots (show|drain)"),
    re.compile(r"slots switch (blue|green) --drop --fence [1-9][0-9]{0,15}"),
)


def words(asked: str) -> list[str]:
    """The words of what was asked when it is allowed, else none. Pure."""
    return ssh_gate.parse(asked, ALLOWED)


def main() -> int:
    # It looks twice a minute: only what moves something is worth a line.
    return ssh_gate.run("watch-gate", ALLOWED, "show, switch and drain slots", quiet="show")

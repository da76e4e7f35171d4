"""Debian packages that this machine lacks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO

from tools import cached
from tools.command import as_root, run
from tools.failure import StepFailed
from tools.pins import pins, timeout_s

# A plain user's PATH may lack the folders of iptables and dockerd.
SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"

# Tests need programs of packages that bring servers: none of these starts, now or at the next boot.
WITHOUT_SERVERS = """
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\\nexit 101\\n' >"$policy"
    chmod 0755 "$policy"
fi
units=$1
shift
"$@"
for unit in $units; do
    if command -v systemctl >/dev/null; then systemctl --root=/ --quiet disable "$unit"; fi
done
"""


def found(program: str) -> str | None:
    """Where a program, or a file by its absolute path, is; None when it is missing."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program, path=SEARCH_PATH)


def missing(programs: dict[str, str]) -> list[str]:
    """The packages to install, sorted, for those programs that are not here."""
    return sorted({package for program, package in programs.items() if found(program) is None})


def install_programs(log: IO[str]) -> str:
    """What set-up and the lab need."""
    return _install(pins()["debian"]["programs"], log, [])


def install_test_programs(log: IO[str]) -> str:
    """What the tests need besides."""
    servers = " ".join(pins()["debian"]["test_servers_off"])
    return _install(pins()["debian"]["test_programs"], log, ["sh", "-euc", WITHOUT_SERVERS, "sh", servers])


def _install(programs: dict[str, str], log: IO[str], around: list[str]) -> str:
    packages = missing(programs)
    if not packages:
        return "present"
    if found("apt-get") is None:
        raise StepFailed(f"no apt-get here, and {', '.join(packages)} are missing", "install them your way")
    manual = f"apt-get update && apt-get install {' '.join(packages)}"
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    # Two steps, two checkouts or the machine's own timer may want apt at once.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "--yes", "--quiet"]
    with cached.locked("apt"):
        run(as_root([*apt, "update"]), log, timeout_s=timeout_s("apt"), next_command=manual)
        run(
            as_root([*around, *apt, "install", "--no-install-recommends", *packages]),
            log,
            timeout_s=timeout_s("apt"),
            next_command=manual,
        )
    return f"installed {' '.join(packages)}"

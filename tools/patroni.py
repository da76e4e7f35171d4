"""Patroni's wheels for database hosts: made here, every hash checked; hosts need no package index."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from tools import cached, paths
from tools.archive import pack
from tools.command import run
from tools.pins import timeout_s

REQUIREMENTS = paths.CHECKOUT / "playbooks" / "roles" / "postgres" / "files" / "requirements.txt"


def wheels() -> Path:
    """Where the archive of this checkout's requirements is or will be; its top folder is wheels/."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    return paths.cache() / "artefacts" / f"patroni-wheels-{digest}.tar.gz"


def install(log: IO[str]) -> str:
    """Make the archive; returns which way it came."""
    archive = wheels()
    with cached.locked("patroni-wheels"):
        if not archive.is_file():
            with cached.new_entry(archive) as made:
                folder = made.parent / "wheels"
                pip: list[str | Path] = [paths.VENV / "bin" / "python", "-m", "pip", "wheel", "--quiet"]
                options: list[str | Path] = ["--require-hashes", "--wheel-dir", folder, "-r", REQUIREMENTS]
                run([*pip, *options], log, timeout_s=timeout_s("build"))
                pack(made, made.parent, ["wheels"], log)
            cached.record("patroni wheels", version=archive.name, path=archive, came_by="pypi", verified_by="hashes")
    return "pypi"

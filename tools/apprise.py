"""apprise for every host: installed here, every hash checked, and packed; hosts need no package index."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from tools import cached, paths
from tools.archive import pack
from tools.command import run
from tools.pins import timeout_s

REQUIREMENTS = paths.CHECKOUT / "playbooks" / "roles" / "notify" / "files" / "requirements.txt"


def packages() -> Path:
    """Where the archive of this checkout's requirements is or will be; a folder that Python can import from."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    return paths.cache() / "artefacts" / f"apprise-{digest}.tar.gz"


def install(log: IO[str]) -> str:
    """Make the archive; returns which way it came."""
    archive, python = packages(), paths.VENV / "bin" / "python"
    with cached.locked("apprise"):
        if not archive.is_file():
            with cached.new_entry(archive) as made:
                folder = made.parent / "packages"
                pip: list[str | Path] = [
                    python,
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-compile",
                    "--only-binary=:all:",
                ]
                run(
                    [*pip, "--require-hashes", "--target", folder, "-r", REQUIREMENTS],
                    log,
                    timeout_s=timeout_s("build"),
                )
                # By content, as the archive keeps no times; hosts can't write there.
                compiled: list[str | Path] = [
                    "-m",
                    "compileall",
                    "-q",
                    "--invalidation-mode",
                    "unchecked-hash",
                    "-s",
                    folder,
                ]
                run([python, *compiled, folder], log, timeout_s=timeout_s("build"))
                pack(made, folder, ["."], log)
            cached.record("apprise", version=archive.name, path=archive, came_by="pypi", verified_by="hashes")
    return "pypi"

"""The Directus bundle that app hosts get: npm ci from the role's lock file, pruned and packed once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import IO

from tools import cached, paths
from tools.archive import pack
from tools.command import run
from tools.node import npm_command
from tools.pins import timeout_s

FILES = paths.CHECKOUT / "playbooks" / "roles" / "directus" / "files"
INPUTS = ("package.json", "package-lock.json", ".npmrc", "prune.txt")


def directus_version() -> str:
    """The version that the role's package.json pins."""
    return str(json.loads((FILES / "package.json").read_text())["dependencies"]["directus"])


def bundle() -> Path:
    """Where the bundle of this checkout's inputs is or will be."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((FILES / name).read_bytes())
    return paths.cache() / "artefacts" / f"directus-{directus_version()}-{digest.hexdigest()[:8]}.tar.gz"


def install(log: IO[str]) -> str:
    """Make the bundle; returns which way it came."""
    archive = bundle()
    with cached.locked("directus"):
        if archive.is_file():
            return "present"
        with cached.new_entry(archive) as made:
            workplace = made.parent
            for name in INPUTS:
                shutil.copy(FILES / name, workplace / name)
            _npm_ci(workplace, log)
            removed = prune(workplace / "node_modules", (FILES / "prune.txt").read_text())
            log.write(f"pruned {removed} paths\n")
            pack(made, workplace, ["node_modules", "package.json"], log)
        return cached.record(
            "directus bundle", version=directus_version(), path=archive, came_by="npm", verified_by="package-lock.json"
        )


def _npm_ci(folder: Path, log: IO[str]) -> None:
    run(
        [*npm_command(), "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=warn"],
        log,
        cwd=folder,
        timeout_s=timeout_s("build"),
        env={
            "PATH": f"{paths.node_tree() / 'bin'}:{os.environ['PATH']}",
            # Native modules must meet the headers of the Node they will run on.
            "npm_config_nodedir": str(paths.node_tree()),
        },
        next_command="npm ping",
    )


def prune(modules: Path, patterns: str) -> int:
    """Remove what the patterns (one a line, # for comments, relative to node_modules) match; returns how many."""
    removed = 0
    for line in patterns.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        for path in list(modules.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            removed += 1
    # Links to programs of removed packages would dangle.
    for link in (modules / ".bin").iterdir():
        if not link.exists():
            link.unlink()
    return removed

"""The Pulumi plugin `random`: the official one, else the air-gapped stand-in."""

from __future__ import annotations

import shlex
import shutil
import tarfile
from typing import IO

from tools import cached, paths
from tools.download import fetch_pinned
from tools.failure import Unreachable
from tools.pins import pins, version

STAND_IN = paths.CHECKOUT / "tools" / "random_stand_in"
PROGRAM = "pulumi-resource-random"

# The wrapper puts a checkout's .venv first on PATH; the stand-in needs its grpc.
LAUNCHER = """\
#!/bin/sh
# Air-gapped stand-in of the official plugin, put here by Till's tools/setup.
PYTHONPATH={folder}${{PYTHONPATH:+:$PYTHONPATH}} exec python3 -m random_stand_in "$@"
"""


def install_random(log: IO[str]) -> str:
    """Make PULUMI_HOME hold the pinned plugin `random`; returns which way it came."""
    entry = paths.random_plugin()
    with cached.locked("plugin-random"):
        stand_in_there = (entry / "random_stand_in").is_dir()
        if entry.is_dir() and not stand_in_there:
            return cached.came_by("random plugin")
        if stand_in_there and _same_as_ours():
            return cached.came_by("random plugin")
        try:
            with cached.new_entry(entry) as made:
                made.mkdir()
                archive = made / "plugin.tar.gz"
                verified_by = fetch_pinned(pins()["pulumi_random"], archive, log)
                with tarfile.open(archive) as content:
                    content.extractall(made, filter="data")
                archive.unlink()
            came = "official"
        except Unreachable as reason:
            log.write(f"official plugin not reachable: {reason}\n")
            install_stand_in()
            came, verified_by = "stand-in", "this checkout"
        return cached.record(
            "random plugin",
            version=version("pulumi_random"),
            path=entry / PROGRAM,
            came_by=came,
            verified_by=verified_by,
        )


def install_stand_in() -> None:
    """Put the stand-in where Pulumi looks for the plugin."""
    entry = paths.random_plugin()
    with cached.new_entry(entry) as made:
        shutil.copytree(STAND_IN, made / "random_stand_in", ignore=shutil.ignore_patterns("__pycache__"))
        launcher = made / PROGRAM
        launcher.write_text(LAUNCHER.format(folder=shlex.quote(str(entry))))
        launcher.chmod(0o755)


def _same_as_ours() -> bool:
    installed = paths.random_plugin() / "random_stand_in"
    return {file.name: file.read_bytes() for file in installed.glob("*.py")} == {
        file.name: file.read_bytes() for file in STAND_IN.glob("*.py")
    }

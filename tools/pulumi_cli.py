"""The Pulumi CLI and its Python language host: the official release, else built from Go modules."""

from __future__ import annotations

import shutil
import stat
import tarfile
from pathlib import Path
from typing import IO

from tools import cached, go, paths
from tools.command import output
from tools.download import fetch_pinned
from tools.failure import Unreachable
from tools.pins import pins, version


def install(log: IO[str]) -> str:
    """Make `paths.pulumi_bin()` hold the pinned CLI; returns which way it came."""
    entry = paths.pulumi_bin().parent
    with cached.locked("pulumi"):
        if entry.is_dir():
            return cached.came_by("pulumi")
        with cached.new_entry(entry) as made:
            (made / "bin").mkdir(parents=True)
            try:
                verified_by = _official(made, log)
                came = "official"
            except Unreachable as reason:
                log.write(f"official release not reachable: {reason}\n")
                _from_go_modules(made / "bin", log)
                came, verified_by = "go-module", "go.sum"
        return cached.record(
            "pulumi",
            version=version("pulumi"),
            path=paths.pulumi_bin() / "pulumi",
            came_by=came,
            verified_by=verified_by,
        )


def _official(made: Path, log: IO[str]) -> str:
    archive = made / "pulumi.tar.gz"
    verified_by = fetch_pinned(pins()["pulumi"], archive, log)
    with tarfile.open(archive) as content:
        content.extractall(made, filter="data")
    archive.unlink()
    for program in (made / "pulumi").rglob("*"):
        if program.is_file():
            program.rename(made / "bin" / program.name)
    shutil.rmtree(made / "pulumi")
    return verified_by


def _from_go_modules(bin_folder: Path, log: IO[str]) -> None:
    cli = pins()["pulumi"]["go_module"]
    host = pins()["pulumi_language_python"]["go_module"]
    go.build(host, bin_folder / "pulumi-language-python", log)
    go.build(cli, bin_folder / "pulumi", log, set_version=version("pulumi"))
    module_folder = go.module_folder(cli["python_module"], cli, log)
    for name in cli["python_files"]:
        # The module cache keeps no run bits.
        copy = bin_folder / Path(name).name
        copy.write_bytes((module_folder / name).read_bytes())
        copy.chmod(copy.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def version_of(program: Path) -> str | None:
    """What a CLI says its version is, without the v; None when it does not run."""
    said = output([program, "version"])
    return said.strip().removeprefix("v") if said is not None else None

"""The S3 server (versitygw) that tests keep a second repository on, built from its Go module."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from tools import cached, go, paths
from tools.pins import pins, version


def program() -> Path:
    return paths.cache() / "tools" / f"versitygw-{version('versitygw')}" / "versitygw"


def install(log: IO[str]) -> str:
    """Make `program()` be there; returns which way it came."""
    with cached.locked("versitygw"):
        if program().exists():
            return cached.came_by("versitygw")
        with cached.new_entry(program().parent) as made:
            made.mkdir()
            go.build(pins()["versitygw"]["go_module"], made / "versitygw", log)
        return cached.record(
            "versitygw", version=version("versitygw"), path=program(), came_by="go-module", verified_by="go.sum"
        )

"""Archives that come out the same, byte for byte, whenever their content is the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tools.command import run
from tools.pins import timeout_s


def pack(to: Path, folder: Path, members: Sequence[str], log: IO[str]) -> None:
    """Write the named members of a folder into a .tar.gz: sorted, no owners, no times."""
    run(
        [
            "tar", "--create", "--file", to, "--directory", folder, "--use-compress-program", "gzip -n -5",
            "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rw,go=rX", *members,
        ],
        log,
        timeout_s=timeout_s("build"),
    )  # fmt: skip

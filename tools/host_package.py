"""The wheel of till_host, the programs that hosts run: built from this checkout, by content."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from pathlib import Path
from typing import IO

from tools import cached, paths
from tools.command import run
from tools.pins import timeout_s

SOURCE = paths.CHECKOUT / "till_host"
# A wheel of the same content is the same file.
ENVIRONMENT = {"SOURCE_DATE_EPOCH": "315532800"}


def sources() -> list[Path]:
    """The files that the wheel is made of."""
    return sorted([*SOURCE.rglob("*.py"), SOURCE / "pyproject.toml"])


def released_version() -> str:
    """Till's own version."""
    return str(tomllib.loads((paths.CHECKOUT / "pyproject.toml").read_text())["project"]["version"])


def package_version() -> str:
    """Till's own version and a hash of the package: what differs anywhere is another version."""
    digest = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(SOURCE)}\0{len(content)}\0".encode())
        digest.update(content)
    return f"{released_version()}+h{digest.hexdigest()[:12]}"


def wheel() -> Path:
    """Where the wheel of this checkout is or will be."""
    return paths.cache() / "artefacts" / f"till_host-{package_version()}-py3-none-any.whl"


def install(log: IO[str]) -> str:
    """Make the wheel; returns which way it came."""
    made_wheel = wheel()
    with cached.locked("host-package"):
        if made_wheel.is_file():
            return "present"
        with cached.new_entry(made_wheel) as made:
            folder = made.parent / "source"
            for path in sources():
                copy = folder / "till_host" / path.relative_to(SOURCE)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
            (folder / "till_host" / "pyproject.toml").replace(folder / "pyproject.toml")
            (folder / "VERSION").write_text(f"{package_version()}\n")
            pip: list[str | Path] = [paths.VENV / "bin" / "python", "-m", "pip", "wheel", "--quiet"]
            run(
                [*pip, "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", made.parent, folder],
                log,
                timeout_s=timeout_s("build"),
                env=ENVIRONMENT,
            )
        return cached.record(
            "till_host", version=package_version(), path=made_wheel, came_by="build", verified_by="this checkout"
        )

"""What a release is built from: a folder's files, their hash and a copy; and the archive of what came out."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

# What a source folder outside of git may hold besides its source.
LEFT_OUT = {"node_modules", ".next", ".git", "__pycache__", "test-results", "coverage"}
GIT_TIMEOUT_S = 30


@dataclass(frozen=True)
class Source:
    """A folder with an app; `url` and `commit` say where it came from, if it was fetched by git."""

    folder: Path
    url: str = ""
    commit: str = ""


def files(source: Path, artefact: str) -> list[Path]:
    """The source's files, sorted: what git knows or would add; outside of git all but LEFT_OUT. Never the artefact."""
    listed = _git_files(source)
    found = (
        _walk(source, LEFT_OUT) if listed is None else [path for path in listed if path.is_symlink() or path.is_file()]
    )
    return sorted(path for path in found if not path.is_relative_to(source / artefact))


def _git_files(source: Path) -> list[Path] | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."],
            capture_output=True, text=True, check=False, timeout=GIT_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [source / name for name in answer.stdout.split("\0") if name] if answer.returncode == 0 else None


def _walk(folder: Path, left_out: set[str]) -> list[Path]:
    found: list[Path] = []
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in left_out]
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        found += [Path(top) / name for name in [*names, *links]]
    return sorted(found)


def sha256(source: Path, listed: list[Path]) -> str:
    """A hash over names, run bits and contents."""
    digest = hashlib.sha256()
    for path in listed:
        # Only the owner's bit is the source's: the others follow the umask of whoever checked it out.
        runs = not path.is_symlink() and bool(path.stat().st_mode & 0o100)
        digest.update(f"{path.relative_to(source)}\0{int(runs)}\0".encode())
        digest.update(str(path.readlink()).encode() if path.is_symlink() else file_digest(path))
    return digest.hexdigest()


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def copy(source: Path, listed: list[Path], to: Path) -> None:
    """Exactly the files that were hashed."""
    for path in listed:
        goal = to / path.relative_to(source)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, goal, follow_symlinks=False)


def pack(folder: Path, archive: Path) -> None:
    """A tar.gz that depends on names, run bits and contents only."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="", compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in _walk(folder, set()):
            info = tar.gettarinfo(str(path), arcname=str(path.relative_to(folder)))
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.mtime = 0
            info.mode = 0o755 if info.mode & 0o100 else 0o644
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)

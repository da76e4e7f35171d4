"""Releases: built once from a source folder, hashed, kept; the same source is never built twice."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from till.errors import TillError, UsageError
from till.paths import log_dir, release_dir
from till.progress import Progress
from till.workplace import environment
from tools import paths as tool_paths

DESCRIPTOR = "app.yml"
LEFT_OUT = {"node_modules", ".next", ".git", "__pycache__", "artefact", "test-results", "coverage"}
BUILD_TIMEOUT_S = 900
# A build fetches packages: through the machine's proxy, trusting the roots that the machine trusts.
NETWORK_ENVIRONMENT = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "SSL_CERT_DIR", "SSL_CERT_FILE")
VERSION = re.compile(r"^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")


class App(BaseModel):
    """An app's descriptor: how it is built, what comes out, how it starts and tells that it is well."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    build: list[str]
    artefact: str
    start: str
    health_path: str
    version_path: str = ""
    runtime: str = ""
    test: list[str] = []


class Manifest(BaseModel):
    """What is known of a built release; sha256 is the artefact's."""

    model_config = ConfigDict(frozen=True)
    name: str
    version: str
    sha256: str
    size_bytes: int
    source_sha256: str
    built_at: str
    start: str
    health_path: str
    version_path: str
    runtime: str


def describe(source: Path) -> App:
    """Read the descriptor of a source folder."""
    from ruamel.yaml import YAML

    path = source / DESCRIPTOR
    if not path.is_file():
        raise UsageError(f"{source} has no {DESCRIPTOR}", "see README: what a release is built from")
    try:
        return App.model_validate(YAML(typ="safe").load(path.read_text()))
    except ValidationError as reason:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in reason.errors())
        raise UsageError(f"{path}: {told}", f"mend {path}") from None


def _files(folder: Path, left_out: set[str]) -> list[Path]:
    found: list[Path] = []
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in left_out)
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        found += [Path(top) / name for name in sorted([*files, *links])]
    return found


def source_sha256(source: Path) -> str:
    """A hash over names, modes and contents of everything that is built from."""
    digest = hashlib.sha256()
    for path in _files(source, LEFT_OUT):
        digest.update(f"{path.relative_to(source)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(os.readlink(path).encode() if path.is_symlink() else hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def pack(folder: Path, archive: Path) -> None:
    """A tar.gz that depends on names, modes and contents only."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="", compresslevel=6) as zipped,
    ):
        with tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in _files(folder, set()):
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build(stack: str, version: str, source: Path, progress: Progress) -> Manifest:
    """Build a release of a stack and keep it; returns its manifest. A failed build leaves nothing.

    Raises UsageError for a bad version or one that exists from another source, TillError when the build fails.
    """
    if not VERSION.match(version):
        raise UsageError(f"{version!r} is not a version", "use one like v1.0.0-paypal")
    app = describe(source)
    source_hash = source_sha256(source)
    folder = release_dir(stack, version)
    if (folder / "manifest.json").exists():
        there = load(stack, version)
        if there.source_sha256 != source_hash:
            raise UsageError(
                f"{version} was built from another source ({there.source_sha256[:12]}, now {source_hash[:12]}): a release never changes",
                f"choose a new version, or remove {folder} if it was never deployed",
            )
        progress.say(f"{version} is there already, built {there.built_at}")
        return there
    kept = tool_paths.cache() / "releases" / f"{app.name}-{source_hash[:32]}.tar.gz"
    if kept.exists():
        progress.say(f"this source was built before: {kept.name}")
    else:
        _build_archive(app, source, kept, f"{stack}-{version}", progress)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shutil.copyfile(kept, partial / "artefact.tar.gz")
    manifest = Manifest(
        name=app.name,
        version=version,
        sha256=_sha256(partial / "artefact.tar.gz"),
        size_bytes=kept.stat().st_size,
        source_sha256=source_hash,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        start=app.start,
        health_path=app.health_path,
        version_path=app.version_path,
        runtime=app.runtime,
    )
    (partial / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")
    partial.rename(folder)
    return manifest


def _build_archive(app: App, source: Path, kept: Path, label: str, progress: Progress) -> None:
    log = log_dir() / f"build-{label}.log"
    with tempfile.TemporaryDirectory(prefix="till-build-") as temporary:
        place = Path(temporary) / app.name
        shutil.copytree(source, place, symlinks=True, ignore=lambda _folder, names: LEFT_OUT & set(names))
        with log.open("w") as output:
            for command in app.build:
                progress.say(f"build: {command}")
                _run(command, place, app, output, log)
        result = place / app.artefact
        if not result.is_dir() or not any(result.iterdir()):
            raise TillError(f"the build of {app.name} left no folder {app.artefact!r}", f"less {log}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
        pack(result, partial)
        partial.rename(kept)


def _run(command: str, place: Path, app: App, output: Any, log: Path) -> None:
    network = {name: os.environ[name] for name in NETWORK_ENVIRONMENT if name in os.environ}
    allowed = {**environment(), **network, "CI": "true", "NEXT_TELEMETRY_DISABLED": "1"}
    if app.runtime.startswith("nodejs"):
        node = tool_paths.node_tree()
        allowed["PATH"] = f"{node / 'bin'}:{allowed['PATH']}"
        allowed["npm_config_nodedir"] = str(node)
    output.write(f"$ {command}\n")
    output.flush()
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=place, env=allowed, stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, timeout=BUILD_TIMEOUT_S, check=False,
        )  # fmt: skip
        ended = f"ended with exit code {done.returncode}"
        failed = done.returncode != 0
    except subprocess.TimeoutExpired:
        failed, ended = True, f"took longer than {BUILD_TIMEOUT_S} s"
    if failed:
        output.flush()
        tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TillError(
            f"the build of {app.name} failed: `{command}` {ended}; nothing was released\n    {tail}", f"less {log}"
        )


def load(stack: str, version: str) -> Manifest:
    """The manifest of a built release; raises UsageError when it was not built, TillError when its artefact was changed."""
    folder = release_dir(stack, version)
    path = folder / "manifest.json"
    if not path.exists():
        built = sorted(entry.name for entry in folder.parent.glob("v*")) if folder.parent.exists() else []
        raise UsageError(
            f"release {version} of {stack} was not built (built: {', '.join(built) or 'none'})",
            f"till release build {stack} --version {version} --source DIR",
        )
    manifest = Manifest.model_validate(json.loads(path.read_text()))
    if _sha256(folder / "artefact.tar.gz") != manifest.sha256:
        raise TillError(
            f"{folder}/artefact.tar.gz is not what was built: its SHA-256 differs from the manifest's",
            f"rm -r {folder}",
        )
    return manifest

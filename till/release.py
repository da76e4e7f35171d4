"""Releases: built once from a source folder, hashed, kept; the same source is never built twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from till import source as sources
from till.errors import TillError, UsageError
from till.paths import log_dir, release_dir
from till.progress import Progress
from till.workplace import environment
from tools import paths as tool_paths

DESCRIPTOR = "app.yml"
BUILD_TIMEOUT_S = 900
# A build fetches packages: through the machine's proxy, trusting the roots that the machine trusts.
NETWORK_ENVIRONMENT = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "NODE_EXTRA_CA_CERTS", "PIP_CERT", "SSL_CERT_DIR", "SSL_CERT_FILE",
)  # fmt: skip
VERSION = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")


def _below(folder: str) -> str:
    # Anything else would ship what the build did not make, and `.` would leave no source to hash.
    parts = PurePosixPath(folder).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError("must be a folder below the app's own")
    return folder


class App(BaseModel):
    """An app's descriptor: how it is built, what comes out, how it starts and tells that it is well.

    `smoke` says what a deploy does to prove it: `purchase` buys through the shop's API, `none` is for other apps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    build: list[str]
    artefact: Annotated[str, AfterValidator(_below)]
    start: str
    health_path: str
    version_path: str = ""
    runtime: str = ""
    smoke: Literal["purchase", "none"] = "purchase"
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
    smoke: Literal["purchase", "none"] = "purchase"


def describe(source: Path) -> App:
    """Read the descriptor of a source folder; raises UsageError naming file and field."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = source / DESCRIPTOR
    if not path.is_file():
        raise UsageError(f"{source} has no {DESCRIPTOR}", "see README: what a release is built from")
    try:
        return App.model_validate(YAML(typ="safe").load(path.read_text()))
    except YAMLError as reason:
        mark = getattr(reason, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where} is not YAML: {getattr(reason, 'problem', reason)}", f"mend {path}") from None
    except ValidationError as reason:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in reason.errors())
        raise UsageError(f"{path}: {told}", f"mend {path}") from None


def build(stack: str, version: str, source: Path, progress: Progress) -> Manifest:
    """Build a release of a stack and keep it; returns its manifest. A failed build leaves nothing.

    Raises UsageError for a bad version or one that exists from another source, TillError when the build fails.
    """
    if not VERSION.fullmatch(version):
        raise UsageError(f"{version!r} is not a version", "use one like v1.0.0-paypal")
    app = describe(source)
    listed = sources.files(source, app.artefact)
    source_hash = sources.sha256(source, listed)
    folder = release_dir(stack, version)
    if is_built(stack, version):
        there = load(stack, version)
        if there.source_sha256 != source_hash:
            raise UsageError(
                f"{version} was built from another source ({there.source_sha256[:12]}, now {source_hash[:12]}):"
                " a release never changes",
                f"choose a new version, or remove {folder} if it was never deployed",
            )
        progress.say(f"{version} is there already, built {there.built_at}")
        return there
    kept = tool_paths.cache() / "releases" / f"{app.name}-{source_hash[:32]}.tar.gz"
    if kept.exists():
        progress.say(f"this source was built before: {kept.name}")
    else:
        _build_archive(app, source, listed, kept, f"{stack}-{version}", progress)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shutil.copyfile(kept, partial / "artefact.tar.gz")
    manifest = Manifest(
        name=app.name,
        version=version,
        sha256=sources.file_digest(partial / "artefact.tar.gz").hex(),
        size_bytes=kept.stat().st_size,
        source_sha256=source_hash,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        start=app.start,
        health_path=app.health_path,
        version_path=app.version_path,
        runtime=app.runtime,
        smoke=app.smoke,
    )
    (partial / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")
    partial.rename(folder)
    return manifest


def _build_archive(app: App, source: Path, listed: list[Path], kept: Path, label: str, progress: Progress) -> None:
    log = log_dir() / f"build-{label}.log"
    with tempfile.TemporaryDirectory(prefix="till-build-") as temporary:
        place = Path(temporary) / app.name
        sources.copy(source, listed, place)
        with log.open("w") as output:
            for command in app.build:
                progress.say(f"build: {command}")
                _run(command, place, app, output, log)
        result = place / app.artefact
        if not result.is_dir() or not any(result.iterdir()):
            raise TillError(f"the build of {app.name} left no folder {app.artefact!r}", f"less {log}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
        sources.pack(result, partial)
        partial.rename(kept)


def build_environment(runtime: str) -> dict[str, str]:
    """What a build sees of this machine; raises UsageError when its runtime is not set up."""
    network = {name: os.environ[name] for name in NETWORK_ENVIRONMENT if name in os.environ}
    allowed = {**environment(), **network, "CI": "true", "NEXT_TELEMETRY_DISABLED": "1"}
    if runtime.startswith("nodejs"):
        node = tool_paths.node_tree()
        if not (node / "bin" / "node").exists():
            raise UsageError(f"{runtime} is not set up: there is no {node}/bin/node", "make tools")
        allowed["PATH"] = f"{node / 'bin'}:{allowed.get('PATH', os.defpath)}"
        allowed["npm_config_nodedir"] = str(node)
    return allowed


def _run(command: str, place: Path, app: App, output: IO[str], log: Path) -> None:
    allowed = build_environment(app.runtime)
    output.write(f"$ {command}\n")
    output.flush()
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=place, env=allowed, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        exit_code = process.wait(BUILD_TIMEOUT_S)
        ended = f"ended with exit code {exit_code}"
    except subprocess.TimeoutExpired:
        exit_code, ended = -1, f"took longer than {BUILD_TIMEOUT_S} s"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except BaseException:
        # All that the build started ends with it.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if exit_code:
        output.flush()
        tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TillError(
            f"the build of {app.name} failed: `{command}` {ended}; nothing was released\n    {tail}", f"less {log}"
        )


def is_built(stack: str, version: str) -> bool:
    """Whether a release stands ready to be deployed."""
    return (release_dir(stack, version) / "manifest.json").exists()


def load(stack: str, version: str) -> Manifest:
    """The manifest of a built release; UsageError when it was not built, TillError when its artefact was changed."""
    folder = release_dir(stack, version)
    path = folder / "manifest.json"
    if not path.exists():
        built = sorted(entry.name for entry in folder.parent.glob("v*")) if folder.parent.exists() else []
        raise UsageError(
            f"release {version} of {stack} was not built (built: {', '.join(built) or 'none'})",
            f"till release build {stack} --version {version} --source DIR",
        )
    manifest = Manifest.model_validate(json.loads(path.read_text()))
    if sources.file_digest(folder / "artefact.tar.gz").hex() != manifest.sha256:
        raise TillError(
            f"{folder}/artefact.tar.gz is not what was built: its SHA-256 differs from the manifest's",
            f"rm -r {folder}",
        )
    return manifest

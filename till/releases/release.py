"""Releases: built once from a source, hashed, described, signed, kept; the same source is never built twice.

A release is a folder: artefact.tar.gz, sbom.json, manifest.json (which holds the SHA-256 of both) and its signature.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ConfigDict

from infra.contract import Contract
from till.errors import GateSaidNo, TillError, UsageError
from till.paths import release_dir
from till.progress import Progress
from till.releases import build as builds
from till.releases import sbom, signature, toolchain
from till.releases import source as sources
from till.releases.descriptor import App, Service, describe
from till.releases.source import Source

VERSION = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
ARTEFACT, SBOM, MANIFEST, SIGNATURE = "artefact.tar.gz", "sbom.json", "manifest.json", "manifest.json.sig"


class Manifest(Service):
    """What is known of a built release. `sha256` and `size_bytes` are the artefact's.

    `source_url` and `source_commit` are empty for a folder; `built_with` are the build's tools and their versions.
    `tests_passed`: the descriptor's tests ran in the build of this artefact, and passed; false where they never ran.
    """

    # A later Till may write more.
    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str
    version: str
    sha256: str
    size_bytes: int
    sbom_sha256: str
    source_sha256: str
    source_url: str
    source_commit: str
    built_with: dict[str, str]
    built_at: str
    tests_passed: bool = False


def build(contract: Contract, version: str, source: Source, progress: Progress, test: bool = False) -> Manifest:
    """Build a release of a stack, `test`, sign and keep it; returns its manifest. A failed build leaves nothing.

    Raises UsageError for a bad version or one that exists from another source, or untested when it is to be tested;
    GateSaidNo when the build or a test fails.
    """
    if not VERSION.fullmatch(version):
        raise UsageError(f"{version!r} is not a version", "use one like v1.0.0-paypal")
    app = describe(source.folder)
    listed = sources.files(source.folder, app.artefact)
    source_hash = sources.sha256(source.folder, listed)
    folder = release_dir(contract.stack, version)
    if is_built(contract.stack, version):
        there = load(contract, version)
        if there.source_sha256 != source_hash:
            raise UsageError(
                f"{version} was built from another source ({there.source_sha256[:12]}, now {source_hash[:12]}):"
                " a release never changes",
                f"choose a new version, or remove {folder} if it was never deployed",
            )
        if test and app.test and not there.tests_passed:
            raise UsageError(
                f"{version} was built without its tests: a release never changes",
                f"till release build {contract.stack} --version NEW_VERSION --test",
            )
        progress.say(f"{version} is there already, built {there.built_at}")
        return there
    tools = toolchain.versions(app.runtime)
    kept = builds.kept_archive(app, source_hash, tools)
    if test and not app.test:
        progress.say(f"warning: {app.name}'s descriptor names no tests, so none can pass")
    if kept.exists() and (not test or not app.test or builds.tested(app, kept)):
        progress.say(f"this source was built before: {kept.name}")
    else:
        builds.archive(app, source.folder, listed, kept, f"{contract.stack}-{version}", progress, test)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shutil.copyfile(kept, partial / ARTEFACT)
    artefact_hash = sources.file_digest(partial / ARTEFACT).hex()
    (partial / SBOM).write_bytes(sbom.document(app.name, version, artefact_hash, source.folder, tools))
    manifest = Manifest(
        **{name: getattr(app, name) for name in Service.model_fields},
        name=app.name,
        version=version,
        sha256=artefact_hash,
        size_bytes=(partial / ARTEFACT).stat().st_size,
        sbom_sha256=sources.file_digest(partial / SBOM).hex(),
        source_sha256=source_hash,
        source_url=source.url,
        source_commit=source.commit,
        built_with=tools,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tests_passed=builds.tested(app, kept),
    )
    content = (manifest.model_dump_json(indent=2) + "\n").encode()
    (partial / MANIFEST).write_bytes(content)
    (partial / SIGNATURE).write_bytes(signature.sign(content, contract.release_key))
    # One without a signature was built before releases were signed: nothing vouches for it.
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return manifest


def is_built(stack: str, version: str) -> bool:
    """Whether a signed release is there; one of before releases were signed is to be built anew."""
    return all((release_dir(stack, version) / name).exists() for name in (MANIFEST, SIGNATURE))


def load(contract: Contract, version: str) -> Manifest:
    """The manifest of a built release whose every part is as it was signed.

    Raises UsageError when it was not built, or before releases were signed; GateSaidNo when a part was changed.
    """
    stack, folder = contract.stack, release_dir(contract.stack, version)
    following = f"till release build {stack} --version {version} --source DIR"
    if not (folder / MANIFEST).exists():
        built = sorted(entry.name for entry in folder.parent.glob("v*")) if folder.parent.exists() else []
        raise UsageError(f"release {version} of {stack} was not built (built: {', '.join(built) or 'none'})", following)
    if not (folder / SIGNATURE).exists():
        raise UsageError(f"release {version} of {stack} was built before releases were signed", following)
    content = (folder / MANIFEST).read_bytes()
    if not signature.is_by(contract.release_key, content, (folder / SIGNATURE).read_bytes()):
        raise _changed(folder, MANIFEST, f"the key of stack {stack} did not sign it", following)
    manifest = Manifest.model_validate_json(content)
    if manifest.version != version:
        raise _changed(folder, MANIFEST, f"it is of {manifest.version}", following)
    for part, expected in {ARTEFACT: manifest.sha256, SBOM: manifest.sbom_sha256}.items():
        path = folder / part
        if not path.is_file() or sources.file_digest(path).hex() != expected:
            raise _changed(folder, part, "its SHA-256 is not the one that was signed", following)
    return manifest


def sha256(contract: Contract, version: str | None) -> str:
    """The artefact's, "" where this machine does not have that release whole."""
    if not version or not is_built(contract.stack, version):
        return ""
    try:
        return load(contract, version).sha256
    except TillError:
        return ""


def _changed(folder: Path, part: str, why: str, following: str) -> GateSaidNo:
    return GateSaidNo(f"{folder}/{part} is not what was built: {why}", f"rm -r {folder}, then {following}")


__all__ = ["VERSION", "App", "Manifest", "build", "describe", "is_built", "load", "sha256"]

"""What a source's lock files say it runs with: npm's package-lock.json, Go's go.mod and go.sum, pip's requirements.txt.

Read from the top folder of an app. Packages that serve development alone are left out where a lock file tells them
apart (npm does). What pip's file names by an option or an address only (-r, -e, a URL) has no version to tell.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from till.errors import UsageError

# What hosts are, in npm's words: a package for others is in the lock file, but never installed.
HOST = {"os": "linux", "cpu": "x64", "libc": "glibc"}
GO_REQUIRED = re.compile(r"^(?:require\s+)?([^\s()]+)\s+(v\S+)(?:\s*//.*)?$")
GO_REPLACED = re.compile(r"^(?:replace\s+)?(\S+)(?:\s+(v\S+))?\s+=>\s+(\S+)(?:\s+(v\S+))?(?:\s*//.*)?$")


@dataclass(frozen=True)
class Package:
    """One package. `hashes` are (algorithm as CycloneDX names it, hex); pip may choose from files of several."""

    kind: str
    name: str
    version: str
    hashes: tuple[tuple[str, str], ...] = ()
    optional: bool = False

    @property
    def purl(self) -> str:
        """Its package URL (github.com/package-url/purl-spec)."""
        name = "/".join(quote(part, safe="") for part in self.name.split("/"))
        return f"pkg:{self.kind}/{name}" + (f"@{quote(self.version, safe='')}" if self.version else "")


def packages(source: Path) -> list[Package]:
    """All packages of a source, each once, sorted; raises UsageError for a lock file that can't be read."""
    readers = {"package-lock.json": _npm, "go.mod": _go, "requirements.txt": _pip}
    found: dict[str, Package] = {}
    for name, read in readers.items():
        path = source / name
        if path.is_file():
            try:
                found |= {package.purl: package for package in read(path)}
            except (ValueError, KeyError, AttributeError, TypeError) as reason:
                raise UsageError(f"{path} can't be read: {reason}", f"make {path} anew by its own tool") from None
    return [found[purl] for purl in sorted(found)]


def _npm(path: Path) -> Iterator[Package]:
    document = json.loads(path.read_text())
    if "packages" not in document:
        raise ValueError(f"lockfileVersion {document.get('lockfileVersion')} is older than npm 7's")
    for place, entry in document["packages"].items():
        if "node_modules/" not in place or entry.get("link") or entry.get("dev") or not _fits(entry):
            continue
        name = entry.get("name") or place.rpartition("node_modules/")[2]
        # The strongest hash comes last where there are several.
        hashes = [_integrity(one) for one in entry.get("integrity", "").split()]
        yield Package("npm", name, entry["version"], tuple(hashes[-1:]), bool(entry.get("optional")))


def _fits(entry: dict[str, Any]) -> bool:
    for field, ours in HOST.items():
        allowed = entry.get(field, [])
        refused = [one[1:] for one in allowed if one.startswith("!")]
        if ours in refused or (len(refused) < len(allowed) and ours not in allowed):
            return False
    return True


def _integrity(text: str) -> tuple[str, str]:
    algorithm, _, encoded = text.partition("-")
    return f"SHA-{algorithm.removeprefix('sha')}", base64.b64decode(encoded).hex()


def _go(path: Path) -> Iterator[Package]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    sums = path.with_name("go.sum")
    known: dict[tuple[str, str], str] = {}
    for words in (line.split() for line in (sums.read_text().splitlines() if sums.is_file() else [])):
        known[words[0], words[1]] = base64.b64decode(words[2].removeprefix("h1:")).hex()
    replaced = [match.groups() for line in lines if "=>" in line and (match := GO_REPLACED.match(line))]
    for line in lines:
        match = GO_REQUIRED.match(line)
        if match is None or "=>" in line:
            continue
        name, version = match.groups()
        for old, old_version, new, new_version in replaced:
            if old == name and old_version in (None, version):
                name, version = new, new_version or ""
        # A folder of the source's own is no package.
        if not name.startswith("."):
            # As cyclonedx-gomod tells it: go.sum's hash of the module's tree.
            yield Package(
                "golang", name, version, (("SHA-256", known[name, version]),) if (name, version) in known else ()
            )


def _pip(path: Path) -> Iterator[Package]:
    for line in path.read_text().replace("\\\n", " ").splitlines():
        text = line.partition(" #")[0].strip()
        if not text or text.startswith(("#", "-")):
            continue
        hashes = tuple(sorted(("SHA-256", found) for found in re.findall(r"--hash=sha256:([0-9a-f]{64})", text)))
        try:
            asked = Requirement(text.partition(" --")[0])
        except InvalidRequirement:
            continue
        pinned = [one.version for one in asked.specifier if one.operator in ("==", "===") and "*" not in one.version]
        yield Package("pypi", canonicalize_name(asked.name), pinned[0] if pinned else "", hashes)

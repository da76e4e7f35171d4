"""What changed between two releases: their manifests and their lists of components (SBOM, CycloneDX JSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from infra.contract import Contract
from till.paths import release_dir
from till.releases import release

SBOM = "sbom.json"
# Told of any two releases, changed or not; whatever else a manifest has is told where it changed.
ABOUT = ("built_at", "size_bytes", "sha256", "source_commit", "source_sha256")


class Change(BaseModel):
    """A field or a component: what it was, what it is."""

    model_config = ConfigDict(frozen=True)
    name: str
    old: Any = None
    new: Any = None


class Difference(BaseModel):
    """`added`, `removed`, `updated`: components by purl, with their versions; `unknown` says why they are empty."""

    model_config = ConfigDict(frozen=True)
    old_version: str
    new_version: str
    about: list[Change] = []
    changed: list[Change] = []
    added: list[Change] = []
    removed: list[Change] = []
    updated: list[Change] = []
    unknown: list[str] = []


def between(contract: Contract, old_version: str, new_version: str) -> Difference:
    """Two built releases of a stack compared; UsageError when one was not built."""
    old, new = release.load(contract, old_version), release.load(contract, new_version)
    stack = contract.stack
    unknown: list[str] = []
    old_sbom, new_sbom = _sbom(stack, old_version, unknown), _sbom(stack, new_version, unknown)
    return compare(old.model_dump(), new.model_dump(), old_sbom, new_sbom, unknown)


def compare(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_sbom: Mapping[str, Any] | None,
    new_sbom: Mapping[str, Any] | None,
    unknown: list[str] | None = None,
) -> Difference:
    """Two manifests and two SBOMs; without both SBOMs nothing is said of components. Pure."""
    names = list(dict.fromkeys([*old, *new]))
    fields = [Change(name=name, old=old.get(name), new=new.get(name)) for name in names]
    components: dict[str, list[Change]] = {}
    if old_sbom is not None and new_sbom is not None:
        components = _components(versions(old_sbom), versions(new_sbom))
    return Difference(
        old_version=str(old["version"]),
        new_version=str(new["version"]),
        about=[one for name in ABOUT for one in fields if one.name == name],
        changed=[one for one in fields if one.name not in (*ABOUT, "version") and one.old != one.new],
        unknown=unknown or [],
        **components,
    )


def versions(sbom: Mapping[str, Any]) -> dict[str, str]:
    """The versions of each component of an SBOM, by its purl without version and qualifiers. Pure."""
    found: dict[str, set[str]] = {}
    for component in _walk(sbom):
        found.setdefault(_key(component), set()).add(str(component.get("version", "")))
    return {key: ", ".join(sorted(found[key])) for key in sorted(found)}


def _components(old: dict[str, str], new: dict[str, str]) -> dict[str, list[Change]]:
    return {
        "added": [Change(name=key, new=new[key]) for key in new if key not in old],
        "removed": [Change(name=key, old=old[key]) for key in old if key not in new],
        "updated": [Change(name=key, old=old[key], new=new[key]) for key in new if key in old and old[key] != new[key]],
    }


def _walk(holder: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for component in holder.get("components") or []:
        if isinstance(component, Mapping):
            yield component
            yield from _walk(component)


def _key(component: Mapping[str, Any]) -> str:
    """Without version: a purl is `pkg:type/namespace/name@version?qualifiers#subpath`; a scope may begin with an @."""
    purl = str(component.get("purl", "")).partition("#")[0].partition("?")[0]
    if not purl:
        return "/".join(str(component[part]) for part in ("type", "group", "name") if component.get(part))
    folder, slash, last = purl.rpartition("/")
    name, at, _ = last.rpartition("@")
    return f"{folder}{slash}{name if at and name else last}"


def _sbom(stack: str, version: str, unknown: list[str]) -> dict[str, Any] | None:
    path = release_dir(stack, version) / SBOM
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        unknown.append(f"{version} has no {SBOM}: which components it has is not known")
        return None
    except ValueError:
        unknown.append(f"{path} is not JSON: which components {version} has is not known")
        return None
    if not isinstance(found, dict) or not isinstance(found.get("components", []), list):
        unknown.append(f"{path} is no CycloneDX document: which components {version} has is not known")
        return None
    return found

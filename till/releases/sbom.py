"""What a release is made of, as CycloneDX 1.5 JSON: the app, the packages of its lock files, the language's library.

Written without a library: `cyclonedx-python-lib` would bring five packages to write one small document, and sets a time
and a random serial number, which would have to be taken out again to let equal sources have equal documents.
Schema: https://cyclonedx.org/schema/bom-1.5.schema.json.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from till.releases.lock_files import Package, packages

# The namespace of serial numbers; any fixed one does.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sbom.till")


def document(name: str, version: str, artefact_sha256: str, source: Path, tools: dict[str, str]) -> bytes:
    """The SBOM of a release; the same arguments and lock files give the same bytes."""
    found = packages(source)
    if "go" in tools:
        # Linked into the program. Named as OSV, which knows its flaws, names it.
        found = [*found, Package("golang", "stdlib", tools["go"])]
    app = {
        "type": "application",
        "bom-ref": f"pkg:generic/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:generic/{name}@{version}",
        "hashes": [{"alg": "SHA-256", "content": artefact_sha256}],
    }
    content: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "tools": {"components": [_tool(*one) for one in sorted(tools.items())]},
            "component": app,
        },
        "components": [_component(package) for package in found],
    }
    content["serialNumber"] = f"urn:uuid:{uuid.uuid5(NAMESPACE, json.dumps(content, sort_keys=True))}"
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _tool(name: str, version: str) -> dict[str, str]:
    return {"type": "application", "name": name, "version": version}


def _component(package: Package) -> dict[str, Any]:
    group, _, name = package.name.rpartition("/")
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": name,
        "purl": package.purl,
        "scope": "optional" if package.optional else "required",
    }
    if group:
        component["group"] = group
    if package.version:
        component["version"] = package.version
    hashes = [{"alg": algorithm, "content": content} for algorithm, content in package.hashes]
    if len(hashes) == 1:
        component["hashes"] = hashes
    elif hashes:
        # pip chooses one of these files, so none is the component's own hash.
        place = {"type": "distribution", "url": f"https://pypi.org/simple/{package.name}/", "hashes": hashes}
        component["externalReferences"] = [place]
    return component

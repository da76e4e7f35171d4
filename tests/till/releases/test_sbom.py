"""The SBOM says what lock files say, in the form of CycloneDX, and equal sources have equal ones."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.till.conftest import LAB, build
from till.errors import UsageError
from till.paths import CHECKOUT
from till.releases import release, sbom

SHA512 = "sha512-" + base64.b64encode(b"5" * 64).decode()
SHA1 = "sha1-" + base64.b64encode(b"1" * 20).decode()
NPM = {
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "shop", "version": "1.0.0"},
        "packages/own": {"version": "1.0.0"},
        "node_modules/own": {"link": True, "resolved": "packages/own"},
        "node_modules/next": {"version": "16.0.0", "integrity": f"{SHA1} {SHA512}"},
        "node_modules/next/node_modules/@swc/helpers": {"version": "0.5.15+a", "integrity": SHA512},
        "node_modules/@swc/helpers": {"version": "0.5.17", "integrity": SHA512},
        "node_modules/again/node_modules/next": {"version": "16.0.0", "integrity": SHA512},
        "node_modules/alias": {"name": "real", "version": "2.0.0"},
        "node_modules/eslint": {"version": "9.0.0", "dev": True},
        "node_modules/both": {"version": "3.0.0", "devOptional": True},
        "node_modules/@img/linux": {"version": "1.0.0", "optional": True, "os": ["linux"], "cpu": ["x64"]},
        "node_modules/@img/musl": {"version": "1.0.0", "optional": True, "os": ["linux"], "libc": ["musl"]},
        "node_modules/fsevents": {"version": "2.3.3", "optional": True, "os": ["darwin"]},
        "node_modules/not-windows": {"version": "1.0.0", "os": ["!win32"]},
        "node_modules/not-linux": {"version": "1.0.0", "os": ["!linux"]},
    },
}
GO_MOD = """module shop.example/shop

go 1.24

require github.com/one/Thing v1.2.0 // indirect
require (
\tgolang.org/x/text v0.30.0
\tgithub.com/old/name v1.0.0
\tgithub.com/own/part v0.0.0
)

replace github.com/old/name => github.com/new/name v1.0.1
replace (
\tgithub.com/own/part => ./part
)
"""
GO_TREE = base64.b64encode(b"t" * 32).decode()
GO_SUM = f"""golang.org/x/text v0.30.0 h1:{GO_TREE}
golang.org/x/text v0.30.0/go.mod h1:{base64.b64encode(b"m" * 32).decode()}
golang.org/x/tools v0.1.0 h1:{GO_TREE}
"""
PIP = f"""# made by pip-compile
--index-url https://pypi.org/simple
Flask_Login[async]==0.6.3 ; python_version >= "3.9" \\
    --hash=sha256:{"b" * 64} \\
    --hash=sha256:{"a" * 64}
    # via -r requirements.in
zope.interface==7.2 --hash=sha256:{"c" * 64}
loose>=1
-e ./own
"""


def told(folder: Path, tools: dict[str, str] | None = None) -> dict[str, Any]:
    return dict(json.loads(sbom.document("shop", "v1.0.0-x", "ab" * 32, folder, tools or {})))


def components(folder: Path, tools: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    return {one["purl"]: one for one in told(folder, tools)["components"]}


def test_npm_packages_that_run_on_a_host(tmp_path: Path) -> None:
    (tmp_path / "package-lock.json").write_text(json.dumps(NPM))
    found = components(tmp_path)
    assert list(found) == [
        "pkg:npm/%40img/linux@1.0.0",
        "pkg:npm/%40swc/helpers@0.5.15%2Ba",
        "pkg:npm/%40swc/helpers@0.5.17",
        "pkg:npm/both@3.0.0",
        "pkg:npm/next@16.0.0",
        "pkg:npm/not-windows@1.0.0",
        "pkg:npm/real@2.0.0",
    ]
    assert found["pkg:npm/next@16.0.0"]["hashes"] == [{"alg": "SHA-512", "content": (b"5" * 64).hex()}]
    helpers = found["pkg:npm/%40swc/helpers@0.5.17"]
    assert (helpers["group"], helpers["name"], helpers["version"]) == ("@swc", "helpers", "0.5.17")
    assert (helpers["scope"], found["pkg:npm/%40img/linux@1.0.0"]["scope"]) == ("required", "optional")
    assert "hashes" not in found["pkg:npm/real@2.0.0"]


def test_go_modules_and_the_library_that_is_linked(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text(GO_MOD)
    (tmp_path / "go.sum").write_text(GO_SUM)
    found = components(tmp_path, {"go": "1.26.8"})
    assert list(found) == [
        "pkg:golang/github.com/new/name@v1.0.1",
        "pkg:golang/github.com/one/Thing@v1.2.0",
        "pkg:golang/golang.org/x/text@v0.30.0",
        "pkg:golang/stdlib@1.26.8",
    ]
    assert found["pkg:golang/golang.org/x/text@v0.30.0"]["hashes"] == [{"alg": "SHA-256", "content": (b"t" * 32).hex()}]
    assert "hashes" not in found["pkg:golang/github.com/one/Thing@v1.2.0"]
    (tmp_path / "go.sum").unlink()
    assert len(components(tmp_path)) == 3


def test_pip_packages_and_the_files_that_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(PIP)
    found = components(tmp_path)
    assert list(found) == ["pkg:pypi/flask-login@0.6.3", "pkg:pypi/loose", "pkg:pypi/zope-interface@7.2"]
    assert found["pkg:pypi/zope-interface@7.2"]["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    (place,) = found["pkg:pypi/flask-login@0.6.3"]["externalReferences"]
    assert [one["content"] for one in place["hashes"]] == ["a" * 64, "b" * 64]
    assert "version" not in found["pkg:pypi/loose"]


def test_the_document_names_the_app_and_its_artefact(tmp_path: Path) -> None:
    document = told(tmp_path, {"node": "22.20.0"})
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.5", 1)
    app = document["metadata"]["component"]
    assert (app["name"], app["version"], app["type"]) == ("shop", "v1.0.0-x", "application")
    assert app["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert document["metadata"]["tools"]["components"] == [
        {"type": "application", "name": "node", "version": "22.20.0"}
    ]
    assert document["components"] == []
    assert "timestamp" not in document["metadata"]


def test_it_follows_from_its_content_alone(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(PIP)
    one, two = (sbom.document("shop", "v1", "ab", tmp_path, {}) for _ in range(2))
    assert one == two
    (tmp_path / "requirements.txt").write_text(PIP.replace("7.2", "7.3"))
    other = sbom.document("shop", "v1", "ab", tmp_path, {})
    assert json.loads(other)["serialNumber"] != json.loads(one)["serialNumber"]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("package-lock.json", '{"lockfileVersion": 1}', "lockfileVersion 1 is older"),
        ("package-lock.json", "{", "Expecting"),
        ("package-lock.json", '{"packages": {"node_modules/x": {}}}', "version"),
    ],
)
def test_a_lock_file_that_cant_be_read_is_named(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=why) as raised:
        told(tmp_path)
    assert str(tmp_path / name) in raised.value.message and raised.value.next_command


@pytest.mark.usefixtures("elsewhere")
def test_a_release_holds_it_and_the_manifest_its_hash(app: Path, tmp_path: Path) -> None:
    (app / "requirements.txt").write_text(PIP)
    build("v1.0.0", app)
    content = (tmp_path / "releases" / "lab" / "v1.0.0" / "sbom.json").read_bytes()
    manifest = release.load(LAB, "v1.0.0")
    assert manifest.sbom_sha256 == hashlib.sha256(content).hexdigest()
    document = json.loads(content)
    assert document["metadata"]["component"]["hashes"][0]["content"] == manifest.sha256
    assert len(document["components"]) == 3


def test_the_storefronts_tells_its_framework_and_no_test_runner() -> None:
    names = {one["name"] for one in told(CHECKOUT / "services" / "storefront")["components"]}
    assert {"next", "react"} <= names
    assert "typescript" not in names

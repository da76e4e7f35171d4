"""Two releases compared: what changed in the manifest, which components came, went and moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.till.conftest import contract_of, host, kept
from till import paths
from till.cli.main import app
from till.releases import diff
from till.releases.diff import Change
from till.stacks import stack

LAB = contract_of(host("alpha"))
MANIFEST: dict[str, Any] = {
    "name": "shop", "version": "v1.0.0", "sha256": "a" * 64, "size_bytes": 100, "source_sha256": "c" * 64,
    "built_at": "2026-11-01T00:00:00+00:00", "start": "node server.js", "health_path": "/api/health",
    "version_path": "/api/version", "runtime": "nodejs-22", "migrations": ["001"],
}  # fmt: skip
NEWER = MANIFEST | {
    "version": "v1.1.0", "sha256": "b" * 64, "size_bytes": 120, "migrations": ["001", "002"], "source_commit": "1d32c5d"
}  # fmt: skip


def sbom(*components: str | dict[str, Any]) -> dict[str, Any]:
    """Components by purl, or as they are."""
    written = [
        one
        if isinstance(one, dict)
        else {"purl": one, "name": "x", "version": one.partition("?")[0].rpartition("@")[2]}
        for one in components
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": written}


OLD_SBOM = sbom("pkg:npm/next@15.1.0", "pkg:npm/%40sentry/node@9.0.0", "pkg:npm/left-pad@1.3.0[bold]")
NEW_SBOM = sbom("pkg:npm/next@15.1.2", "pkg:npm/%40sentry/node@9.0.0", "pkg:npm/zod@4.0.0?arch=any#lib")


def test_components_that_came_went_and_moved() -> None:
    found = diff.compare(MANIFEST, NEWER, OLD_SBOM, NEW_SBOM)
    assert found.added == [Change(name="pkg:npm/zod", new="4.0.0")]
    assert found.removed == [Change(name="pkg:npm/left-pad", old="1.3.0[bold]")]
    assert found.updated == [Change(name="pkg:npm/next", old="15.1.0", new="15.1.2")]
    assert diff.compare(MANIFEST, NEWER, OLD_SBOM, OLD_SBOM).updated == []


def test_a_manifest_tells_what_changed_and_always_size_source_and_dates() -> None:
    found = diff.compare(MANIFEST, NEWER, None, None)
    assert {one.name for one in found.changed} == {"migrations"}
    about = {one.name: (one.old, one.new) for one in found.about}
    assert about["size_bytes"] == (100, 120) and about["source_commit"] == (None, "1d32c5d")
    assert about["source_sha256"] == ("c" * 64, "c" * 64)


def test_a_scope_is_no_version_and_two_versions_of_a_component_are_both_told() -> None:
    nested = {"purl": "pkg:npm/a@2.0.0", "version": "2.0.0", "components": sbom("pkg:npm/a@1.0.0")["components"]}
    found = diff.versions(sbom("pkg:npm/@scope/name@1.0.0", "pkg:npm/@scope/bare", nested))
    assert found["pkg:npm/@scope/name"] == "1.0.0" and "pkg:npm/@scope/bare" in found
    assert found["pkg:npm/a"] == "1.0.0, 2.0.0"


def test_a_component_without_purl_goes_by_its_name() -> None:
    found = diff.versions(sbom({"type": "application", "group": "org", "name": "node", "version": "22.1"}))
    assert found == {"application/org/node": "22.1"}


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(stack, "contract", lambda _name: LAB)
    for manifest, parts in ((MANIFEST, OLD_SBOM), (NEWER, NEW_SBOM)):
        kept(LAB, manifest, json.dumps(parts).encode())


def test_the_verb_tells_both_as_json_and_as_a_table(built: None) -> None:
    answer = CliRunner().invoke(app, ["diff", "lab", "v1.0.0", "v1.1.0", "--json"])
    document = json.loads(answer.stdout)
    assert document["ok"] and document["updated"][0]["name"] == "pkg:npm/next" and not document["unknown"]
    table = CliRunner().invoke(app, ["diff", "lab", "v1.0.0", "v1.1.0"], env={"COLUMNS": "200"}).stdout
    assert "pkg:npm/left-pad" in table and "removed" in table and "1.3.0[bold]" in table and "15.1.2" in table


@pytest.mark.parametrize("written", ["{", "[]", '{"components": {}}'])
def test_an_sbom_that_is_none_is_said_and_nothing_is_claimed(built: None, written: str) -> None:
    kept(LAB, MANIFEST, written.encode())
    answer = CliRunner().invoke(app, ["diff", "lab", "v1.0.0", "v1.1.0", "--json"])
    document = json.loads(answer.stdout)
    assert document["ok"] and not document["added"]
    assert len(document["unknown"]) == 1 and "v1.0.0" in document["unknown"][0]


def test_a_release_that_was_not_built_is_refused_with_the_next_command(built: None) -> None:
    answer = CliRunner().invoke(app, ["diff", "lab", "v1.0.0", "v9.0.0", "--json"])
    assert answer.exit_code == 2 and "till release build lab --version v9.0.0" in json.loads(answer.stdout)["next"]

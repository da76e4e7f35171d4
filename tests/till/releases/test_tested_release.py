"""Tests of a release: asked for, run where it was built, and claimed only where they passed."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from infra.contract import Contract
from tests.till.conftest import APP, LAB, QUIET, build, contract_of, host
from till.errors import TillError, UsageError
from till.releases import release
from till.releases.source import Source

STAGING = contract_of(host("alpha"), stack="staging")

pytestmark = pytest.mark.usefixtures("elsewhere")


def tried(version: str, app: Path, stack: Contract = LAB) -> release.Manifest:
    return release.build(stack, version, Source(app), QUIET, test=True)


def with_tests(app: Path, *commands: str) -> None:
    (app / "app.yml").write_text(APP + "test:\n" + "".join(f"  - {json.dumps(one)}\n" for one in commands))


def test_tests_run_in_the_builds_place_and_the_manifest_says_that_they_passed(app: Path, tmp_path: Path) -> None:
    with_tests(app, "test -x out/lib/program", f"echo ran >> {tmp_path}/count; echo left > out/behind")
    manifest = tried("v1.0.0", app)
    assert manifest.tests_passed and release.load(LAB, "v1.0.0").tests_passed
    assert (tmp_path / "count").read_text() == "ran\n"
    # What tests leave behind is not what was built.
    with tarfile.open(tmp_path / "releases" / "lab" / "v1.0.0" / "artefact.tar.gz") as tar:
        assert [name for name in tar.getnames() if "behind" in name] == []


def test_a_failing_test_shows_its_end_and_releases_nothing(app: Path, tmp_path: Path) -> None:
    with_tests(app, "true", "echo one of 78 failed; exit 3", f"touch {tmp_path}/later")
    with pytest.raises(TillError, match=r"the test of tiny failed: .* exit code 3; nothing was released") as raised:
        tried("v1.0.0", app)
    assert "one of 78 failed" in raised.value.message and raised.value.next_command.startswith("less ")
    assert not (tmp_path / "releases").exists() and not (tmp_path / "later").exists()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_without_being_asked_no_test_runs_and_none_is_claimed(app: Path, tmp_path: Path) -> None:
    with_tests(app, f"touch {tmp_path}/ran; exit 1")
    assert not build("v1.0.0", app).tests_passed and not (tmp_path / "ran").exists()
    (app / "app.yml").write_text(APP)
    assert not tried("v1.0.1", app).tests_passed


def test_an_archive_that_was_not_tested_is_built_and_tested_and_then_kept(app: Path, tmp_path: Path) -> None:
    with_tests(app, f"echo ran >> {tmp_path}/count")
    assert not build("v1.0.0", app).tests_passed
    assert tried("v1.0.1", app).tests_passed and tried("v1.0.2", app, STAGING).tests_passed
    # The same archive, so the same proof.
    assert build("v1.0.3", app).tests_passed
    assert (tmp_path / "count").read_text() == "ran\n"


@pytest.mark.parametrize("changed", ["archive", "commands"])
def test_a_mark_of_another_archive_proves_nothing(app: Path, tmp_path: Path, changed: str) -> None:
    with_tests(app, "true")
    tried("v1.0.0", app)
    (mark,) = (tmp_path / "cache").rglob("*.tests")
    told = json.loads(mark.read_text())
    assert told["test"] == ["true"]
    if changed == "archive":
        mark.with_suffix("").write_bytes(b"another one")
    else:
        mark.write_text(json.dumps({**told, "test": []}))
    assert not build("v1.0.1", app).tests_passed


def test_a_failing_test_leaves_the_archive_that_was_kept_before(app: Path, tmp_path: Path) -> None:
    with_tests(app, f"test -e {tmp_path}/well")
    before = build("v1.0.0", app).sha256
    with pytest.raises(TillError, match="nothing was released"):
        tried("v1.0.1", app)
    assert build("v1.0.2", app).sha256 == before and not release.is_built("lab", "v1.0.1")


def test_a_release_that_was_built_without_its_tests_stays_so(app: Path) -> None:
    with_tests(app, "true")
    build("v1.0.0", app)
    with pytest.raises(UsageError, match=r"v1\.0\.0 was built without its tests: a release never changes") as raised:
        tried("v1.0.0", app)
    assert raised.value.next_command == "till release build lab --version NEW_VERSION --test"
    assert tried("v1.0.1", app) == tried("v1.0.1", app)

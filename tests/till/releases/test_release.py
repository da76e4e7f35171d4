"""A release is built once, from exactly its source, and never changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.till.conftest import APP, LAB, build, contract_of, host
from till.errors import TillError, UsageError
from till.releases import release, source, toolchain

STAGING = contract_of(host("alpha"), stack="staging")

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_a_release_is_hashed_and_described(app: Path, tmp_path: Path) -> None:
    manifest = build("v1.0.0", app)
    folder = tmp_path / "releases" / "lab" / "v1.0.0"
    artefact = (folder / "artefact.tar.gz").read_bytes()
    assert manifest.sha256 == hashlib.sha256(artefact).hexdigest()
    assert manifest.size_bytes == len(artefact)
    assert (manifest.name, manifest.start, manifest.smoke) == ("tiny", "./lib/program", "none")
    assert (manifest.metrics_path, manifest.migrations, manifest.built_with) == ("", "none", {})
    assert (manifest.source_url, manifest.source_commit) == ("", "")
    assert json.loads((folder / "manifest.json").read_text()) == manifest.model_dump()
    assert release.load(LAB, "v1.0.0") == manifest
    with tarfile.open(folder / "artefact.tar.gz") as tar:
        entry = tar.getmember("lib/program")
        assert (entry.mode, entry.mtime, entry.uid, entry.uname) == (0o755, 0, 0, "root")


def test_an_unchanged_source_is_built_once(app: Path, tmp_path: Path) -> None:
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", f"echo built >> {tmp_path}/count"))
    one = build("v1.0.0", app)
    again = build("v1.0.0", app)
    other = build("v1.0.1", app, STAGING)
    assert (tmp_path / "count").read_text() == "built\n"
    assert one == again and other.sha256 == one.sha256


def test_the_archive_depends_on_names_modes_and_contents_only(tmp_path: Path) -> None:
    hashes = []
    for number, order in enumerate((("b", "a"), ("a", "b"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in order:
            (folder / name).write_text(name)
            os.utime(folder / name, (number * 1000, number * 1000))
        (folder / "link").symlink_to("a")
        source.pack(folder, tmp_path / f"{number}.tar.gz")
        hashes.append(source.file_digest(tmp_path / f"{number}.tar.gz"))
        time.sleep(0.01)
    assert hashes[0] == hashes[1]


def test_the_same_source_built_twice_is_the_same_release(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", f"echo built >> {tmp_path}/count"))
    one = build("v1.0.0", app)
    # Another machine: no cache, and every file with another age.
    monkeypatch.setenv("TILL_CACHE", str(tmp_path / "other-cache"))
    for path in app.iterdir():
        os.utime(path, (1, 1))
    # And another umask.
    (app / "program").chmod(0o700)
    two = build("v1.0.0", app, STAGING)
    assert (tmp_path / "count").read_text() == "built\nbuilt\n"
    assert (one.sha256, one.size_bytes, one.source_sha256) == (two.sha256, two.size_bytes, two.source_sha256)
    assert one.sbom_sha256 == two.sbom_sha256


@pytest.mark.parametrize("what", ["content", "run bit", "name"])
def test_the_hash_of_a_source_sees(app: Path, what: str) -> None:
    before = source.sha256(app, source.files(app, "out"))
    if what == "content":
        (app / "program").write_text("other")
    elif what == "run bit":
        (app / "program").chmod(0o644)
    else:
        (app / "program").rename(app / "programme")
    assert source.sha256(app, source.files(app, "out")) != before


def test_what_git_ignores_is_not_source(app: Path) -> None:
    subprocess.run(["git", "init", "-q", str(app)], check=True)
    (app / ".gitignore").write_text("generated\n")
    (app / "generated").write_text("x")
    (app / "new").write_text("not added yet")
    (app / "out").mkdir()
    (app / "out" / "old").write_text("an earlier build")
    names = [path.name for path in source.files(app, "out")]
    assert names == [".gitignore", "app.yml", "new", "program"]


def test_what_an_app_says_of_metrics_and_migrations_is_handed_on(app: Path) -> None:
    (app / "app.yml").write_text(APP + "metrics_path: /metrics\nmigrations: expand\n")
    assert (build("v1.0.0", app).metrics_path, release.load(LAB, "v1.0.0").migrations) == ("/metrics", "expand")


def test_the_manifest_names_the_tools_and_others_build_anew(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", f"echo built >> {tmp_path}/count"))
    for number in ("1.26.8", "1.26.8", "1.27.0"):
        monkeypatch.setattr(toolchain, "versions", lambda runtime, number=number: {"go": number})
        assert build(f"v1.0.{time.monotonic_ns()}", app).built_with == {"go": number}
    assert (tmp_path / "count").read_text() == "built\nbuilt\n"


def test_a_runtimes_tools_are_found_and_come_first() -> None:
    found = toolchain.build_environment("go")
    assert toolchain.versions("go")["go"] >= "1.26"
    shown = subprocess.run(["go", "env", "GOVERSION"], env=found, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == f"go{toolchain.versions('go')['go']}"
    assert found["GOTOOLCHAIN"] == "local" and (Path(found["PATH"].split(":")[0]) / "go").exists()
    assert toolchain.versions("") == {} and "GOTOOLCHAIN" not in toolchain.build_environment("")


def test_a_failing_build_shows_its_end_and_releases_nothing(app: Path, tmp_path: Path) -> None:
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", "echo the reason is here >&2; exit 7"))
    with pytest.raises(TillError) as raised:
        build("v1.0.0", app)
    assert raised.value.exit_code == 3
    assert "ended with exit code 7; nothing was released" in raised.value.message
    assert "the reason is here" in raised.value.message
    assert raised.value.next_command == f"less {tmp_path}/logs/build-lab-v1.0.0.log"
    assert not (tmp_path / "releases" / "lab" / "v1.0.0").exists()
    assert not list((tmp_path / "cache").rglob("*.tar.gz"))


def test_a_build_that_leaves_nothing_is_refused(app: Path) -> None:
    (app / "app.yml").write_text(APP.replace("artefact: out", "artefact: elsewhere"))
    with pytest.raises(TillError, match="left no folder 'elsewhere'"):
        build("v1.0.0", app)


def test_a_build_sees_an_allowed_environment_only(app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", f"env > {tmp_path}/seen"))
    build("v1.0.0", app)
    seen = (tmp_path / "seen").read_text()
    assert "canary" not in seen and "CI=true" in seen


def test_the_runtime_must_be_set_up(app: Path) -> None:
    (app / "app.yml").write_text(APP + "runtime: nodejs-22\n")
    with pytest.raises(UsageError, match="nodejs-22 is not set up") as raised:
        build("v1.0.0", app)
    assert raised.value.next_command == "make tools"


def test_a_version_never_changes(app: Path) -> None:
    build("v1.0.0", app)
    (app / "program").write_text("other")
    with pytest.raises(UsageError, match=r"v1.0.0 was built from another source .*: a release never changes"):
        build("v1.0.0", app)


@pytest.mark.parametrize("version", ["1.0.0", "v1", "v1.0.0/../../x", "latest", "v1.0.0-", "v1.0.0\n"])
def test_what_is_not_a_version(app: Path, version: str) -> None:
    with pytest.raises(UsageError, match="is not a version"):
        build(version, app)


def test_a_changed_artefact_is_not_deployed(app: Path, tmp_path: Path) -> None:
    build("v1.0.0", app)
    with (tmp_path / "releases" / "lab" / "v1.0.0" / "artefact.tar.gz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(TillError, match=r"artefact\.tar\.gz is not what was built"):
        release.load(LAB, "v1.0.0")


def test_an_unknown_release_names_those_that_exist(app: Path) -> None:
    build("v1.0.0", app)
    with pytest.raises(UsageError, match=r"v2.0.0 of lab was not built \(built: v1.0.0\)"):
        release.load(LAB, "v2.0.0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (APP + "helth_path: /up\n", "helth_path: Extra inputs"),
        (APP.replace("name: tiny\n", ""), "name: Field required"),
        (APP + "migrations: some\n", "migrations: Input should be 'none', 'expand' or 'contract'"),
        (APP.replace("smoke: none", "smoke: everything"), "smoke: Input should be 'purchase' or 'none'"),
        (APP.replace("artefact: out", "artefact: [out]"), "artefact: Input should be a valid string"),
        *[
            (APP.replace("artefact: out", f"artefact: {folder}"), "artefact: Value error, must be a folder below")
            for folder in (".", "./", "/", "/etc", "..", "../..", "out/../../x", "''")
        ],
        *[
            (APP.replace("name: tiny", f"name: {name}"), "name: String should match")
            for name in ("../../escape", "a/b", ".", "-x", '"a\\n"')
        ],
        ("", "app.yml"),
        ("- a list\n", "app.yml"),
        ("name: [unclosed\n", "is not YAML: expected"),
    ],
)
def test_a_wrong_descriptor_names_file_and_field(app: Path, tmp_path: Path, text: str, told: str) -> None:
    (app / "app.yml").write_text(text)
    with pytest.raises(UsageError) as raised:
        build("v1.0.0", app)
    assert told in raised.value.message and str(app / "app.yml") in raised.value.message
    assert raised.value.next_command == f"mend {app / 'app.yml'}"
    assert not (tmp_path / "releases").exists() and not list(tmp_path.rglob("*.tar.gz"))


def test_a_folder_without_a_descriptor_is_refused(app: Path) -> None:
    (app / "app.yml").unlink()
    with pytest.raises(UsageError, match=r"has no app.yml"):
        build("v1.0.0", app)

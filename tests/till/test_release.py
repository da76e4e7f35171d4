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

from till import release, source
from till.errors import TillError, UsageError
from till.progress import Progress

APP = """name: tiny
build: ["mkdir -p out/lib", "cp program out/lib/", "date +%N > /dev/null"]
artefact: out
start: ./lib/program
health_path: /up
smoke: none
"""
QUIET = Progress(quiet=True)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases, logs and the cache of these tests are not the checkout's."""
    monkeypatch.setenv("TILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(release, "release_dir", lambda stack, version: tmp_path / "releases" / stack / version)
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(release, "log_dir", lambda: tmp_path / "logs")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "app.yml").write_text(APP)
    (folder / "program").write_text("#!/bin/sh\necho hello\n")
    (folder / "program").chmod(0o755)
    return folder


def test_a_release_is_hashed_and_described(app: Path, tmp_path: Path) -> None:
    manifest = release.build("lab", "v1.0.0", app, QUIET)
    folder = tmp_path / "releases" / "lab" / "v1.0.0"
    artefact = (folder / "artefact.tar.gz").read_bytes()
    assert manifest.sha256 == hashlib.sha256(artefact).hexdigest()
    assert manifest.size_bytes == len(artefact)
    assert (manifest.name, manifest.start, manifest.smoke) == ("tiny", "./lib/program", "none")
    assert json.loads((folder / "manifest.json").read_text()) == manifest.model_dump()
    assert release.load("lab", "v1.0.0") == manifest
    with tarfile.open(folder / "artefact.tar.gz") as tar:
        entry = tar.getmember("lib/program")
        assert (entry.mode, entry.mtime, entry.uid, entry.uname) == (0o755, 0, 0, "root")


def test_an_unchanged_source_is_built_once(app: Path, tmp_path: Path) -> None:
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", f"echo built >> {tmp_path}/count"))
    one = release.build("lab", "v1.0.0", app, QUIET)
    again = release.build("lab", "v1.0.0", app, QUIET)
    other = release.build("staging", "v1.0.1", app, QUIET)
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
    one = release.build("lab", "v1.0.0", app, QUIET)
    # Another machine: no cache, and every file with another age.
    monkeypatch.setenv("TILL_CACHE", str(tmp_path / "other-cache"))
    for path in app.iterdir():
        os.utime(path, (1, 1))
    two = release.build("staging", "v1.0.0", app, QUIET)
    assert (tmp_path / "count").read_text() == "built\nbuilt\n"
    assert (one.sha256, one.size_bytes, one.source_sha256) == (two.sha256, two.size_bytes, two.source_sha256)


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


def test_a_failing_build_shows_its_end_and_releases_nothing(app: Path, tmp_path: Path) -> None:
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", "echo the reason is here >&2; exit 7"))
    with pytest.raises(TillError) as raised:
        release.build("lab", "v1.0.0", app, QUIET)
    assert raised.value.exit_code == 1
    assert "ended with exit code 7; nothing was released" in raised.value.message
    assert "the reason is here" in raised.value.message
    assert raised.value.next_command == f"less {tmp_path}/logs/build-lab-v1.0.0.log"
    assert not (tmp_path / "releases" / "lab" / "v1.0.0").exists()
    assert not list((tmp_path / "cache").rglob("*.tar.gz"))


def test_a_build_that_leaves_nothing_is_refused(app: Path) -> None:
    (app / "app.yml").write_text(APP.replace("artefact: out", "artefact: elsewhere"))
    with pytest.raises(TillError, match="left no folder 'elsewhere'"):
        release.build("lab", "v1.0.0", app, QUIET)


def test_a_build_sees_an_allowed_environment_only(app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    (app / "app.yml").write_text(APP.replace("date +%N > /dev/null", f"env > {tmp_path}/seen"))
    release.build("lab", "v1.0.0", app, QUIET)
    seen = (tmp_path / "seen").read_text()
    assert "canary" not in seen and "CI=true" in seen


def test_the_runtime_must_be_set_up(app: Path) -> None:
    (app / "app.yml").write_text(APP + "runtime: nodejs-22\n")
    with pytest.raises(UsageError, match="nodejs-22 is not set up") as raised:
        release.build("lab", "v1.0.0", app, QUIET)
    assert raised.value.next_command == "make tools"


def test_a_version_never_changes(app: Path) -> None:
    release.build("lab", "v1.0.0", app, QUIET)
    (app / "program").write_text("other")
    with pytest.raises(UsageError, match=r"v1.0.0 was built from another source .*: a release never changes"):
        release.build("lab", "v1.0.0", app, QUIET)


@pytest.mark.parametrize("version", ["1.0.0", "v1", "v1.0.0/../../x", "latest", "v1.0.0-", "v1.0.0\n"])
def test_what_is_not_a_version(app: Path, version: str) -> None:
    with pytest.raises(UsageError, match="is not a version"):
        release.build("lab", version, app, QUIET)


def test_a_changed_artefact_is_not_deployed(app: Path, tmp_path: Path) -> None:
    release.build("lab", "v1.0.0", app, QUIET)
    with (tmp_path / "releases" / "lab" / "v1.0.0" / "artefact.tar.gz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(TillError, match="is not what was built"):
        release.load("lab", "v1.0.0")


def test_an_unknown_release_names_those_that_exist(app: Path) -> None:
    release.build("lab", "v1.0.0", app, QUIET)
    with pytest.raises(UsageError, match=r"v2.0.0 of lab was not built \(built: v1.0.0\)"):
        release.load("lab", "v2.0.0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (APP + "helth_path: /up\n", "helth_path: Extra inputs"),
        (APP.replace("name: tiny\n", ""), "name: Field required"),
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
        release.build("lab", "v1.0.0", app, QUIET)
    assert told in raised.value.message and str(app / "app.yml") in raised.value.message
    assert raised.value.next_command == f"mend {app / 'app.yml'}"
    assert not (tmp_path / "releases").exists() and not list(tmp_path.rglob("*.tar.gz"))


def test_a_folder_without_a_descriptor_is_refused(app: Path) -> None:
    (app / "app.yml").unlink()
    with pytest.raises(UsageError, match=r"has no app.yml"):
        release.build("lab", "v1.0.0", app, QUIET)

"""A release's source can be one commit of a git repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.till.conftest import LAB, QUIET
from till.errors import TillError, UsageError
from till.releases import git_source, release
from till.releases.git_source import Place, parse
from till.releases.source import Source

pytestmark = pytest.mark.usefixtures("elsewhere")


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@shop.example"}
    who |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@shop.example", "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], env={**os.environ, **who}, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(app: Path, tmp_path: Path) -> Path:
    """A bare repository: tag v1 with the app at its top; branch main with another content and the app in a folder."""
    git(app, "init", "-q", "-b", "main")
    git(app, "add", "-A")
    git(app, "commit", "-q", "-m", "one")
    git(app, "tag", "v1")
    (app / "services").mkdir()
    git(app, "mv", "app.yml", "program", "services")
    (app / "services" / "program").write_text("#!/bin/sh\necho later\n")
    (app / "services" / "out-of-here").symlink_to("/etc")
    git(app, "add", "-A")
    git(app, "commit", "-q", "-m", "two")
    bare = tmp_path / "shop.git"
    git(tmp_path, "clone", "-q", "--bare", str(app), str(bare))
    return bare


@contextmanager
def opened(text: str) -> Iterator[Source]:
    with git_source.open_source(text, QUIET) as source:
        yield source


def test_a_tag_is_fetched_built_and_named(repository: Path) -> None:
    with opened(f"file://{repository}@v1") as source:
        manifest = release.build(LAB, "v1.0.0", source, QUIET)
        assert (source.folder / "program").read_text().endswith("hello\n")
    assert not source.folder.exists()
    assert manifest.source_url == f"file://{repository}"
    assert manifest.source_commit == git(repository, "rev-parse", "v1^{commit}")
    assert release.load(LAB, "v1.0.0") == manifest


def test_a_branch_and_a_folder_of_it(repository: Path) -> None:
    with opened(f"file://{repository}@main#services") as source:
        assert release.describe(source.folder).name == "tiny"
        assert (source.folder / "program").read_text().endswith("later\n")
        assert source.commit == git(repository, "rev-parse", "main")
        # One commit of two.
        assert git(source.folder, "rev-list", "--count", "HEAD") == "1"


def test_a_commit_is_fetched_by_its_hash(repository: Path) -> None:
    commit = git(repository, "rev-parse", "v1^{commit}")
    with opened(f"file://{repository}@{commit}") as source:
        assert source.commit == commit


def test_it_is_the_same_source_as_the_folder(repository: Path, app: Path) -> None:
    git(app, "checkout", "-q", "v1")
    one = release.build(LAB, "v1.0.0", Source(app), QUIET)
    with opened(f"file://{repository}@v1") as source:
        assert release.build(LAB, "v1.0.1", source, QUIET).source_sha256 == one.source_sha256


def test_hooks_of_the_user_do_not_run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = tmp_path / "home" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "home" / ".gitconfig").write_text(f"[core]\nhooksPath = {hooks}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with opened(f"file://{repository}@v1"):
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("tail", "told"),
    [
        ("@v9", "can't bring v9 of file://.*couldn't find remote ref"),
        ("@main#nowhere", "has no folder nowhere at main"),
        ("@main#services/out-of-here", "has no folder services/out-of-here at main"),
    ],
)
def test_what_is_not_there_is_named(repository: Path, tail: str, told: str) -> None:
    with pytest.raises(TillError, match=told) as raised, opened(f"file://{repository}{tail}"):
        pass
    assert raised.value.next_command


def test_no_repository_is_named_with_a_command_to_try(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/none.git"
    with pytest.raises(TillError, match="does not appear to be a git") as raised, opened(f"{address}@main"):
        pass
    assert raised.value.next_command == f"git ls-remote {address} main"


def test_git_that_hangs_is_ended(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(git_source, "LOCAL_TIMEOUT_S", 0.3)
    with pytest.raises(TillError, match="git took longer than 0 s with file://"), opened(f"file://{repository}@v1"):
        pass


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("https://git.example/shop.git@v1.2.0", Place("https://git.example/shop.git", "v1.2.0", "")),
        ("https://git.example:8443/x@feature/x#apps/a", Place("https://git.example:8443/x", "feature/x", "apps/a")),
        ("ssh://git@git.example/shop.git@main", Place("ssh://git@git.example/shop.git", "main", "")),
        ("git@git.example:a/shop.git@v1", Place("git@git.example:a/shop.git", "v1", "")),
        ("file:///srv/a@b/shop.git@main", Place("file:///srv/a@b/shop.git", "main", "")),
        ("services/storefront", None),
        ("/srv/shop@v1", None),
    ],
)  # fmt: skip
def test_forms(text: str, place: Place | None) -> None:
    assert parse(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "https://layla:canary@git.example/shop.git@v1",
        "https://canary@git.example/shop.git@v1",
        "ssh://git:canary@git.example/shop.git@v1",
        "https://git.example/shop.git?private_token=canary@v1",
        "https://canary@git.example/shop.git",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match=r"address at git\.example holds credentials") as raised:
        parse(text)
    assert "canary" not in str(raised.value) and "git help credentials" in raised.value.next_command


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://git.example/shop.git", "names no branch, tag or commit"),
        ("ssh://git@git.example/shop.git", "names no branch, tag or commit"),
        ("git@git.example:shop.git", "names no branch, tag or commit"),
        ("https://git.example/shop.git@", "names no branch, tag or commit"),
        ("https://git.example/shop.git@--upload-pack=x", "names no branch, tag or commit"),
        ("https://git.example/shop.git@a..b", "names no branch, tag or commit"),
        ("https://git.example/shop.git@v1#../x", "is no folder of a repository"),
        ("https://git.example/shop.git@v1#/etc", "is no folder of a repository"),
        ("http://git.example/shop.git@v1", "http:// is no way to fetch a source"),
        ("git://git.example/shop.git@v1", "git:// is no way to fetch a source"),
        ("ext::sh://x/y@v1", "is no way to fetch a source"),
    ],
)
def test_other_forms_are_refused_before_git_runs(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        parse(text)
    assert raised.value.next_command


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="there is no folder nowhere"), opened("nowhere"):
        pass

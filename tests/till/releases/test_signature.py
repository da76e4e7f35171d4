"""Nothing but what the stack's key signed is a release of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.components.signing_key import SigningKeyProvider, new_key_pair
from infra.contract import Contract, ReleaseKey
from tests.till.conftest import LAB, build
from till.errors import TillError, UsageError
from till.releases import release
from till.releases import signature as signatures

pytestmark = pytest.mark.usefixtures("elsewhere")
AGAIN = "till release build lab --version v1.0.0 --source DIR"


@pytest.fixture
def built(app: Path, tmp_path: Path) -> Path:
    """The folder of release v1.0.0."""
    build("v1.0.0", app)
    return tmp_path / "releases" / "lab" / "v1.0.0"


def key_of(pair: tuple[str, str]) -> ReleaseKey:
    return ReleaseKey.model_validate({"private_key_pem": pair[0], "public_key_pem": pair[1]})


def with_another_key() -> Contract:
    return LAB.model_copy(update={"release_key": key_of(new_key_pair())})


def test_a_signature_is_of_one_key_and_one_content() -> None:
    one, other = key_of(new_key_pair()), key_of(new_key_pair())
    signature = signatures.sign(b"content", one)
    assert signatures.is_by(one, b"content", signature)
    assert not signatures.is_by(other, b"content", signature)
    assert not signatures.is_by(one, b"contents", signature)
    assert not signatures.is_by(one, b"content", signature[:-1])
    assert not signatures.is_by(one, b"content", b"")


def test_openssl_reads_it_as_hosts_do(built: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(LAB.release_key.public_key_pem)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(tmp_path / "key.pem")]
    command += ["-in", str(built / "manifest.json"), "-sigfile", str(built / "manifest.json.sig")]
    assert subprocess.run(command, capture_output=True).returncode == 0
    with (built / "manifest.json").open("a") as file:
        file.write(" ")
    assert subprocess.run(command, capture_output=True).returncode == 1


def test_a_stacks_key_stays_and_another_stacks_is_another() -> None:
    provider = SigningKeyProvider()
    one, other = provider.create({}), provider.create({})
    assert one.outs is not None and other.outs is not None
    assert one.outs["private_key_pem"] != other.outs["private_key_pem"] and one.id != other.id
    assert provider.diff(one.id, one.outs, {}).changes is False


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def other_start(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "start": "./lib/other"}, indent=2) + "\n")


@pytest.mark.parametrize(
    ("part", "change", "why"),
    [
        ("artefact.tar.gz", longer, "its SHA-256 is not the one that was signed"),
        ("artefact.tar.gz", Path.unlink, "its SHA-256 is not the one that was signed"),
        ("sbom.json", longer, "its SHA-256 is not the one that was signed"),
        ("sbom.json", Path.unlink, "its SHA-256 is not the one that was signed"),
        ("manifest.json", longer, "the key of stack lab did not sign it"),
        ("manifest.json", other_start, "the key of stack lab did not sign it"),
        ("manifest.json.sig", longer, "the key of stack lab did not sign it"),
    ],
)
def test_a_changed_part_is_named(built: Path, part: str, change: Callable[[Path], None], why: str) -> None:
    release.load(LAB, "v1.0.0")
    change(built / part)
    with pytest.raises(TillError) as raised:
        release.load(LAB, "v1.0.0")
    named = "manifest.json" if part.startswith("manifest") else part
    assert raised.value.message == f"{built}/{named} is not what was built: {why}"
    assert raised.value.next_command == f"rm -r {built}, then {AGAIN}"


def test_another_stacks_key_is_refused(built: Path) -> None:
    with pytest.raises(TillError, match="the key of stack lab did not sign it"):
        release.load(with_another_key(), "v1.0.0")


def test_a_signed_release_under_another_name_is_refused(built: Path) -> None:
    built.rename(built.with_name("v2.0.0"))
    with pytest.raises(TillError, match=r"manifest.json is not what was built: it is of v1\.0\.0"):
        release.load(LAB, "v2.0.0")


def test_one_from_before_releases_were_signed_is_told_and_built_anew(built: Path, app: Path) -> None:
    (built / "manifest.json.sig").unlink()
    assert not release.is_built("lab", "v1.0.0")
    with pytest.raises(UsageError, match=r"release v1\.0\.0 of lab was built before releases were signed") as raised:
        release.load(LAB, "v1.0.0")
    assert raised.value.next_command == AGAIN
    manifest = build("v1.0.0", app)
    assert release.load(LAB, "v1.0.0") == manifest


def test_the_private_key_is_in_no_part(built: Path, tmp_path: Path) -> None:
    secret = LAB.release_key.private_key_pem.get_secret_value().splitlines()[1]
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []

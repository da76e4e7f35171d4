"""A contract to work on, and a rented host that really answers by SSH."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.components.signing_key import new_key_pair
from infra.contract import Contract
from infra.lab import rent
from till import paths
from till.progress import Progress
from till.releases import build as builds
from till.releases import release, source
from till.releases import signature as signatures
from till.releases.source import Source

CANARY = "canary-Zm9vYmFy+/sHould-Be-nowhere"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICYWtnLKo9erYIwgx8p0rBJa5Uf8ilfml69bViAFjDpB"

RELEASE_KEY = new_key_pair()
QUIET = Progress(quiet=True)
APP = """name: tiny
build: ["mkdir -p out/lib", "cp program out/lib/", "date +%N > /dev/null"]
artefact: out
start: ./lib/program
health_path: /up
smoke: none
"""


def host(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": name,
        "address": f"198.18.7.{10 + len(name)}",
        "user": "till",
        "host_key": HOST_KEY,
        "site": name,
        "roles": ["edge", "app"],
    } | changed


def kept(contract: Contract, manifest: dict[str, Any], parts: bytes) -> str:
    """A release with these components on the disk, signed; the artefact's SHA-256."""
    folder = paths.release_dir(contract.stack, manifest["version"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "artefact.tar.gz").write_bytes(b"artefact")
    (folder / "sbom.json").write_bytes(parts)
    whole = {
        **manifest, "migrations": "expand", "source_url": "", "source_commit": "", "built_with": {},
        "sha256": source.file_digest(folder / "artefact.tar.gz").hex(),
        "sbom_sha256": source.file_digest(folder / "sbom.json").hex(),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(whole))
    signature = signatures.sign((folder / "manifest.json").read_bytes(), contract.release_key)
    (folder / "manifest.json.sig").write_bytes(signature)
    return str(whole["sha256"])


def contract_of(*hosts: dict[str, Any], outside: bool = False, **changed: Any) -> Contract:
    player = host("outside", roles=["acme_ca", "paypal_simulator", "resolver"], site="outside")
    names = [one["name"] for one in hosts] + (["outside"] if outside else [])
    given = changed.pop("secrets", {"postgres_superuser_password": CANARY, "sentry_dsn": ""})
    return Contract.model_validate(
        {
            "stack": "lab",
            "environment": "lab",
            "hosts": hosts,
            "outside": {"host": player, "paypal_name": "paypal.lab.test", "acme_name": "acme.lab.test"}
            if outside
            else None,
            "names": {
                "zone": "lab.test",
                "shop": "shop.lab.test",
                "admin": "admin.lab.test",
                "api": "api.lab.test",
            },
            "paypal": {
                "mode": "simulator",
                "api_url": "https://paypal.lab.test:8443",
                "client_id": "c",
                "webhook_id": "w",
            },
            "acme": {"directory_url": "https://acme.lab.test:14000/dir", "email": "a@lab.test"},
            "settlement": {"currency": "USD", "rate_per_omr": "2.600000"},
            "release_key": {"private_key_pem": RELEASE_KEY[0], "public_key_pem": RELEASE_KEY[1]},
            "internal_ca_pem": "-----BEGIN CERTIFICATE-----",
            "host_certificates": {
                name: {"certificate_pem": f"certificate of {name}", "private_key_pem": f"private key of {name}"}
                for name in names
            },
            "secrets": {name: {"current": one} if isinstance(one, str) else one for name, one in given.items()},
        }
        | changed
    )


LAB = contract_of(host("alpha"))


def build(version: str, app: Path, contract: Contract = LAB) -> release.Manifest:
    """A release of the lab, or of another stack."""
    return release.build(contract, version, Source(app), QUIET)


@pytest.fixture
def make_contract() -> Callable[..., Contract]:
    return contract_of


@pytest.fixture(scope="session")
def rented() -> Iterator[Contract]:
    """One real host behind a contract; removed at the end."""
    name = f"test-runner-{os.getpid()}"
    folder = rent.default_folder(name)
    try:
        found = rent.rent(name, ["alpha"], "till-host", 512, folder)
        alpha = found["hosts"][0]
        yield contract_of(
            host("alpha", address=alpha["address"], user=alpha["user"], host_key=alpha["host_key"]),
            ssh_private_key=Path(found["ssh_private_key_file"]).read_text(),
        )
    finally:
        rent.give_back(name, folder)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases, logs and the cache of a test are not the checkout's."""
    monkeypatch.setenv("TILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(release, "release_dir", lambda stack, version: tmp_path / "releases" / stack / version)
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(builds, "log_dir", lambda: tmp_path / "logs")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "app.yml").write_text(APP)
    (folder / "program").write_text("#!/bin/sh\necho hello\n")
    (folder / "program").chmod(0o755)
    return folder

"""Reading a contract from a real Pulumi state, in a backend of its own; and why it can't be read."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.till.conftest import CANARY, contract_of, host
from till.errors import UsageError
from till.paths import VENV_BIN
from till.stacks import stack

# One of this project's stacks; in the test's backend it is another one.
NAME = "staging"
# How Pulumi marks a secret in a state.
SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
WRONG = "wrong-passphrase-canary"


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty backend and its passphrase; the folder holds a project of the same name without a program."""
    (tmp_path / "backend").mkdir()
    (tmp_path / "passphrase").write_text("right-passphrase")
    (tmp_path / "Pulumi.yaml").write_text("name: till\nruntime: python\n")
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "backend").as_uri())
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    stack.contract.cache_clear()
    yield tmp_path
    stack.contract.cache_clear()


def pulumi(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [VENV_BIN / "pulumi", *arguments, "--non-interactive"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def made(folder: Path, contract: str | None) -> None:
    """The stack, with `contract` as its only output, encrypted by the passphrase."""
    pulumi(folder, "stack", "init", NAME)
    if contract is None:
        return
    salt = YAML(typ="safe").load(folder / f"Pulumi.{NAME}.yaml")["encryptionsalt"]
    kind = "pulumi:pulumi:Stack"
    resource = {
        "urn": f"urn:pulumi:{NAME}::till::{kind}::till-{NAME}",
        "custom": False,
        "type": kind,
        "outputs": {"contract": {SIGNATURE: SECRET, "plaintext": json.dumps(contract)}},
    }
    deployment = {
        "manifest": {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""},
        "secrets_providers": {"type": "passphrase", "state": {"salt": salt}},
        "resources": [resource],
    }
    (folder / "state.json").write_text(json.dumps({"version": 3, "deployment": deployment}))
    pulumi(folder, "stack", "import", "--stack", NAME, "--file", "state.json")
    (folder / "state.json").unlink()


def test_a_contract_comes_out_as_it_went_in(backend: Path) -> None:
    whole = contract_of(host("alpha"), stack=NAME, environment="staging")
    made(backend, whole.to_json())
    assert stack.contract(NAME) == whole
    kept = b"".join(path.read_bytes() for path in (backend / "backend").rglob("*") if path.is_file())
    assert CANARY.encode() not in kept


def test_a_wrong_passphrase_and_none_are_told(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(backend, contract_of(host("alpha")).to_json())
    (backend / "wrong").write_text(WRONG)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(backend / "wrong"))
    done = subprocess.run(
        [VENV_BIN / "till", "status", NAME, "--json"], capture_output=True, text=True, timeout=60, env=os.environ
    )
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["stack"]) == (2, False, NAME)
    assert document["error"] == f"stack {NAME}: the passphrase does not open the stack's secrets"
    assert ".till/passphrase" in document["next"]
    assert WRONG not in done.stdout + done.stderr and CANARY not in done.stdout + done.stderr
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(backend / "nowhere"))
    with pytest.raises(UsageError, match="there is no passphrase"):
        stack.contract(NAME)


def test_settings_are_left_as_git_has_them_unless_they_hold_a_secret(
    backend: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = backend / f"Pulumi.{NAME}.yaml"
    monkeypatch.setattr(stack, "settings_file", lambda _: settings)
    before = "# What it is for.\nconfig:\n  till:environment: lab\n"
    settings.write_text(before)
    whole = contract_of(host("alpha"), stack=NAME, environment="staging")
    made(backend, whole.to_json())
    assert "encryptionsalt" in settings.read_text()
    stack.forget_salt(NAME)
    assert settings.read_text() == before
    assert stack.contract(NAME) == whole
    pulumi(backend, "config", "set", "--stack", NAME, "--secret", "till:sentryDsn", CANARY)
    held = settings.read_text()
    stack.forget_salt(NAME)
    assert settings.read_text() == held and "encryptionsalt" in held


def test_a_stack_that_was_never_made(backend: Path) -> None:
    assert not stack.exists(NAME)
    with pytest.raises(UsageError, match=f"stack {NAME} does not exist yet") as raised:
        stack.contract(NAME)
    assert raised.value.next_command == f".venv/bin/pulumi up -s {NAME}"


def test_a_stack_without_a_contract(backend: Path) -> None:
    made(backend, None)
    assert stack.exists(NAME)
    with pytest.raises(UsageError, match=f"stack {NAME} has no contract"):
        stack.contract(NAME)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"version": 7}, "contract version 7 found, 1 and 2 understood"),
        ({"secrets": {"x": [CANARY]}}, r"its contract is not valid at secrets\.x"),
        ({"release_key": None}, "its contract is not valid at release_key"),
        ({"hosts": []}, "its contract is not valid at hosts"),
        ({"platform": {"kind": "mainframe", "password": CANARY}}, "its contract is not valid at platform"),
        ({"platform": {"kind": "swarm"}}, r"its contract is not valid at platform\.swarm\.managers"),
    ],
    ids=["another version", "wrong type", "without a key for releases", "zero hosts", "no such platform", "no manager"],
)
def test_a_contract_that_is_not_ours_is_named_without_its_values(
    backend: Path, broken: dict[str, object], told: str
) -> None:
    document = json.loads(contract_of(host("alpha")).to_json()) | broken
    made(backend, json.dumps(document))
    with pytest.raises(UsageError, match=told) as raised:
        stack.contract(NAME)
    assert CANARY not in str(raised.value)


def test_only_what_pulumi_makes_on_this_machine_is_a_lab() -> None:
    assert [stack.is_lab(name) for name in ("lab", "staging", "production")] == [True, False, False]
    with pytest.raises(UsageError, match=r"there is no Pulumi\.nope\.yaml"):
        stack.is_lab("nope")

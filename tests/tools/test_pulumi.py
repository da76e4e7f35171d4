"""The wrapper's defaults, and the stand-in of `random` under the real CLI."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tools import paths, plugins
from tools.random_stand_in.resources import KINDS, Invalid

PULUMI = paths.VENV / "bin" / "pulumi"
PASSWORD = KINDS["random:index/randomPassword:RandomPassword"]

PROGRAM = """\
import pulumi, pulumi_random as random
config = pulumi.Config()
password = random.RandomPassword("password", length=config.require_int("length"), override_special="-_", min_upper=3)
key = random.RandomBytes("key", length=32)
name = random.RandomId("name", byte_length=4, prefix="till-")
pulumi.export("password", password.result)
pulumi.export("hash", password.bcrypt_hash)
pulumi.export("key", key.base64)
pulumi.export("name", name.hex)
"""


def _environment(**more: str) -> dict[str, str]:
    return {**{key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "TILL_"))}, **more}


def _pulumi(*arguments: str, cwd: Path, env: dict[str, str]) -> str:
    result = subprocess.run([PULUMI, *arguments], cwd=cwd, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_wrapper_gives_defaults_and_a_users_choice_wins(tmp_path: Path) -> None:
    def backend(**more: str) -> str:
        return str(json.loads(_pulumi("whoami", "--json", cwd=tmp_path, env=_environment(**more)))["url"])

    assert backend() == f"file://{paths.PULUMI_BACKEND}"
    assert backend(PULUMI_BACKEND_URL=f"file://{tmp_path}") == f"file://{tmp_path}"


def test_the_passphrase_is_for_its_owner_only() -> None:
    assert paths.PASSPHRASE.stat().st_mode & 0o777 == 0o600
    assert len(paths.PASSPHRASE.read_text().strip()) >= 32


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, str]]:
    monkeypatch.setenv("TILL_CACHE", str(tmp_path / "cache"))
    plugins.install_stand_in()
    (tmp_path / "Pulumi.yaml").write_text("name: stand-in\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "state").mkdir()
    env = _environment(
        PULUMI_HOME=str(paths.pulumi_home()),
        PULUMI_BACKEND_URL=f"file://{tmp_path}/state",
        PULUMI_CONFIG_PASSPHRASE="test",
        PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="true",
    )
    _pulumi("stack", "init", "test", cwd=tmp_path, env=env)
    return tmp_path, env


def test_the_stand_in_under_the_real_cli(project: tuple[Path, dict[str, str]]) -> None:
    folder, env = project

    def up(*more: str, length: int = 24) -> dict[str, Any]:
        _pulumi("up", "--yes", "--skip-preview", "--config", f"length={length}", *more, cwd=folder, env=env)
        return dict(json.loads(_pulumi("stack", "output", "--json", "--show-secrets", cwd=folder, env=env)))

    first = up()
    assert len(first["password"]) == 24
    assert bcrypt.checkpw(first["password"].encode(), first["hash"].encode())
    assert first["name"].startswith("till-")
    hidden = json.loads(_pulumi("stack", "output", "--json", cwd=folder, env=env))
    assert {hidden[name] for name in ("password", "hash", "key")} == {"[secret]"}
    state = (folder / "state/.pulumi/stacks/stand-in/test.json").read_text()
    assert not [name for name in ("password", "hash", "key") if first[name] in state]

    assert up("--expect-no-changes", "--refresh") == first

    second = up(length=30)
    assert len(second["password"]) == 30
    assert {name: second[name] for name in ("key", "name")} == {name: first[name] for name in ("key", "name")}

    _pulumi("destroy", "--yes", "--skip-preview", cwd=folder, env=env)


def test_a_password_has_what_was_asked_for() -> None:
    inputs = PASSWORD.settled({"length": 12, "special": False, "minUpper": 2, "minNumeric": 10})
    for _ in range(50):
        result = PASSWORD.make(inputs)["result"]
        assert len(result) == 12
        assert sum(letter.isupper() for letter in result) == 2
        assert sum(letter.isdigit() for letter in result) == 10


@pytest.mark.parametrize(
    ("inputs", "blamed"),
    [
        ({"length": 0}, "length"),
        ({"length": "many"}, "length"),
        ({"length": 3, "minUpper": 2, "minLower": 2}, "length"),
        ({"length": 8, "lower": False, "upper": False, "numeric": False, "special": False}, "special"),
    ],
)
def test_bad_inputs_are_refused_as_the_official_one_does(inputs: dict[str, Any], blamed: str) -> None:
    with pytest.raises(Invalid) as refused:
        PASSWORD.check(PASSWORD.settled(inputs))
    assert refused.value.property_name == blamed


def test_a_long_password_is_hashed_by_its_first_72_bytes() -> None:
    made = PASSWORD.make(PASSWORD.settled({"length": 100}))
    assert bcrypt.checkpw(made["result"].encode()[:72], made["bcryptHash"].encode())


def test_only_real_changes_replace() -> None:
    old = {"length": 24, "keepers": {"a": "1"}}
    assert PASSWORD.changed(old, {"length": 24, "special": True, "keepers": {"a": "1", "b": None}}) == []
    assert PASSWORD.changed(old, {"length": 24, "keepers": {"a": "2"}}) == ["keepers"]
    assert PASSWORD.changed(old, {"length": 25}) == ["keepers", "length"]

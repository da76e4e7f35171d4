"""The command: one object on stdout, words on stderr, the exit codes of the design."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import tomllib
from typing import Any

import pytest
import typer

from till.cli.verb import answer
from till.errors import GateSaidNo, HostUnreachable, Refused, TillError, UsageError
from till.paths import CHECKOUT, VENV_BIN


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VENV_BIN / "till", *arguments], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "arguments", [["deploy", "lab"], ["fly"], ["status", "nope"], ["provision", "lab", "--nope"], ["release", "build"]]
)
def test_bad_usage_is_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "next: " in done.stderr or "--help" in done.stderr


def test_json_of_an_error_is_one_object() -> None:
    done = run("status", "nope", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["stack"]) == (2, False, "nope")
    assert {"started_at", "duration_s", "error", "next"} <= set(document)


def test_the_version_is_that_of_the_checkout() -> None:
    released = re.escape(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(rf"till {released}, programs of hosts {released}\+h[0-9a-f]{{12}}\n", done.stdout)


def test_help_is_quick() -> None:
    """Of processor time, which no other program's load adds to."""
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        assert run("--help").returncode == 0
        took.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    assert min(took) < 2


def test_down_of_what_is_not_a_lab_wants_the_name() -> None:
    done = run("down", "production", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["next"]) == (5, "till down production --confirm production")


@pytest.mark.parametrize(
    ("error", "code"),
    [(TillError("x"), 1), (UsageError("x"), 2), (GateSaidNo("x"), 3), (HostUnreachable("x"), 4), (Refused("x"), 5)],
)
def test_exit_codes_and_facts(error: TillError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    error.facts = {"changed": 3}

    def work(_progress: Any) -> dict[str, Any]:
        raise error

    with pytest.raises(typer.Exit) as ended:
        answer("lab", True, work, print)
    assert ended.value.exit_code == code
    assert json.loads(capsys.readouterr().out)["changed"] == 3


def test_an_unexpected_error_tells_its_place_but_not_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_progress: Any) -> dict[str, Any]:
        raise ValueError("canary")

    with pytest.raises(typer.Exit) as ended:
        answer("lab", True, work, print)
    captured = capsys.readouterr()
    assert ended.value.exit_code == 1
    assert "canary" not in captured.out and "unexpected ValueError at " in json.loads(captured.out)["error"]
    assert "test_cli.py" in captured.err

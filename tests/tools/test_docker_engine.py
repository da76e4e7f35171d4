"""A Docker engine that is not there: the cause is named, and the next command."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tools import docker_engine, machine, paths
from tools.failure import StepFailed
from tools.pins import pins


def test_dockerd_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(machine, "SEARCH_PATH", str(tmp_path))
    with pytest.raises(StepFailed) as failed:
        docker_engine.ensure(io.StringIO())
    assert failed.value.what == "`dockerd` is not installed"
    assert "apt-get install docker.io" in failed.value.next_command


def test_an_engine_of_others_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "DOCKERD_PID", tmp_path / "dockerd.pid")
    before = docker_engine.version()
    assert docker_engine.stop_ours() == "not ours: left alone"
    # A stale file whose number another process has now.
    (tmp_path / "dockerd.pid").write_text("1")
    assert docker_engine.stop_ours() == "not ours: left alone"
    assert docker_engine.version() == before


def test_missing_programs_become_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "git").touch(mode=0o755)
    monkeypatch.setattr(machine, "SEARCH_PATH", str(tmp_path))
    assert machine.missing({"git": "git", "zstd": "zstd", "/no/such/font": "fonts-x"}) == ["fonts-x", "zstd"]


def test_a_client_without_its_engine_gets_the_engines_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in pins()["debian"]["programs"]:
        if program != "dockerd":
            (tmp_path / program).touch(mode=0o755)
    monkeypatch.setattr(machine, "SEARCH_PATH", str(tmp_path))
    assert machine.missing(pins()["debian"]["programs"]) == ["docker.io"]

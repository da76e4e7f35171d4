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


@pytest.mark.parametrize(
    ("said", "containers", "aside"),
    [
        (docker_engine.HALF_MADE_NETWORK, [], True),
        # Somebody's containers need the networks that are whole.
        (docker_engine.HALF_MADE_NETWORK, ["0123abcd"], False),
        ("no space left on device", [], False),
    ],
)
def test_a_list_of_networks_that_the_engine_dies_of_is_set_aside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, containers: list[str], aside: bool
) -> None:
    networks = tmp_path / "network" / "files" / "local-kv.db"
    networks.parent.mkdir(parents=True)
    networks.write_text("kept")
    (tmp_path / "containers").mkdir()
    for name in containers:
        (tmp_path / "containers" / name).mkdir()
    (tmp_path / "dockerd.log").write_text(f"starting\n{said}(0x55cf5a5c0e70?)\n")
    monkeypatch.setattr(docker_engine, "ROOT", tmp_path)
    monkeypatch.setattr(docker_engine, "LOG", tmp_path / "dockerd.log")
    assert docker_engine.set_half_made_networks_aside() is aside
    assert networks.exists() is not aside
    assert networks.with_name("local-kv.db.half-made").exists() is aside


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

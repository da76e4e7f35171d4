"""The second sample app, built as a release builds it: it serves, tells its version, and ends what it began."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from till.releases.descriptor import describe
from till.releases.source import copy, files
from till.releases.toolchain import build_environment

HERE = Path(__file__).parents[1]
VERSION = "v1.2.3-clock"
pytestmark = pytest.mark.timeout(300)


def go(place: Path, command: str) -> str:
    done = subprocess.run(
        ["nice", "bash", "-euo", "pipefail", "-c", command], cwd=place, env=build_environment("go"),
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its sources and its artefact, in a folder outside of git."""
    app, place = describe(HERE), tmp_path_factory.mktemp("clock")
    copy(HERE, files(HERE, app.artefact), place)
    for command in [*app.build, *app.test]:
        go(place, command)
    return place


@pytest.fixture
def clock(built: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Started as a slot starts it; its process and address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PORT": str(port), "HOSTNAME": "127.0.0.1", "APP_VERSION": VERSION}
    process = subprocess.Popen([built / "artefact" / "clock"], env=environment, cwd=built / "artefact")
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 10
    while True:
        try:
            assert httpx.get(f"{address}{describe(HERE).health_path}").status_code == 200
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    try:
        yield process, address
    finally:
        process.kill()
        process.wait()


def test_it_needs_nothing_of_the_host(built: Path) -> None:
    assert [path.name for path in (built / "artefact").iterdir()] == ["clock"]
    assert b"ld-linux" not in (built / "artefact" / "clock").read_bytes()


def test_the_same_source_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    app = describe(HERE)
    copy(HERE, files(HERE, app.artefact), tmp_path)
    go(tmp_path, app.build[0])
    assert (tmp_path / "artefact" / "clock").read_bytes() == (built / "artefact" / "clock").read_bytes()


def test_its_source_is_formatted(built: Path) -> None:
    assert go(built, "go fmt ./...") == ""


def test_it_tells_time_and_version(clock: tuple[Any, str]) -> None:
    _, address = clock
    assert httpx.get(f"{address}/version").json() == {"version": VERSION}
    told = httpx.get(address)
    assert told.json()["time"].startswith(time.strftime("%Y-", time.gmtime()))
    assert told.headers["Cache-Control"] == "no-store"
    assert httpx.get(f"{address}/other").status_code == 404
    assert httpx.get(f"{address}/?wait=1h").status_code == 400


def test_a_request_under_way_is_answered_when_it_is_told_to_stop(clock: tuple[Any, str]) -> None:
    process, address = clock
    asking = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    asking.request("GET", "/?wait=5s")
    # It has read the request by then.
    time.sleep(0.3)
    process.terminate()
    deadline = time.monotonic() + 4
    while healthy(address):
        assert time.monotonic() < deadline, "it goes on taking requests"
        time.sleep(0.05)
    assert (asking.getresponse().status, process.wait(5)) == (200, 0)


def healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}{describe(HERE).health_path}").is_success
    except httpx.TransportError:
        return False

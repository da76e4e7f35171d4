"""A release asked past the edge: what is bad, what is slow, and how slow the slow ones are."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.roles.conftest import POLICY
from till_host.slots import probe

# A machine that is busy holds a quick answer up by less than SLOW_S, and a slow one by less than TIMEOUT_S.
SLOW_S = 0.5
TIMEOUT_S = 10.0
STATUSES = {"/bad": 500, "/missing": 404}
WAITS_S = {"/slow": 0.6, "/hangs": 10.0}


class Release(BaseHTTPRequestHandler):
    """Answers as its path says."""

    def do_GET(self) -> None:
        time.sleep(WAITS_S.get(self.path, 0))
        self.send_response(STATUSES.get(self.path, 200))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Release) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def program(host: Path) -> ModuleType:
    return probe


def asked(
    program: ModuleType, port: int, *paths: str, requests: int = 12, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    seen = program.ask({"green": port}, list(paths), requests, 4, timeout_s, SLOW_S)
    return dict(seen["green"].told())


def test_a_good_release_has_no_fault_and_every_request_is_counted(program: ModuleType, port: int) -> None:
    found = asked(program, port, "/", "/missing", requests=50)
    assert (found["requests"], found["bad"], found["faults"]) == (50, 0, [])


def test_a_status_of_500_and_above_is_bad_and_named_with_its_path(program: ModuleType, port: int) -> None:
    found = asked(program, port, "/", "/bad", "/missing")
    assert (found["requests"], found["bad"]) == (12, 4)
    assert found["faults"] == ["4 x /bad: 500"]


def test_slow_ones_are_counted_and_are_not_bad(program: ModuleType, port: int) -> None:
    found = asked(program, port, "/slow", "/")
    assert (found["slow"], found["bad"]) == (6, 0)
    assert found["p95_ms"] >= WAITS_S["/slow"] * 1000


def test_no_answer_in_time_is_bad_and_does_not_hold_it_up(program: ModuleType, port: int) -> None:
    began = time.monotonic()
    found = asked(program, port, "/hangs", requests=4, timeout_s=SLOW_S + 0.1)
    assert (found["bad"], found["slow"], found["faults"]) == (4, 4, ["4 x /hangs: TimeoutError"])
    assert time.monotonic() - began < WAITS_S["/hangs"] / 2


def test_where_nothing_listens_every_request_is_bad(program: ModuleType) -> None:
    found = asked(program, 1, "/", requests=3)
    assert (found["bad"], found["faults"]) == (3, ["3 x /: ConnectionRefusedError"])


def test_p95_is_what_95_of_100_stay_within(program: ModuleType) -> None:
    seen = program.Asked(SLOW_S)
    assert seen.told()["p95_ms"] is None
    for number in range(100, 0, -1):
        seen.add(number / 1000, "")
    assert seen.told()["p95_ms"] == 95.0


def test_only_the_most_frequent_faults_are_told(program: ModuleType) -> None:
    seen = program.Asked(SLOW_S)
    for number in range(1, 9):
        for _ in range(number):
            seen.add(0.01, f"/{number}: 500")
    assert seen.told()["faults"] == [f"{number} x /{number}: 500" for number in (8, 7, 6, 5, 4)]
    assert seen.told()["bad"] == 36


def test_the_slots_port_is_asked(
    program: ModuleType, host: Path, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (host / "app.json").write_text(json.dumps({**POLICY, "ports": {"blue": 1, "green": port}}))
    monkeypatch.setattr("sys.argv", ["slot-probe", "ask", "5", "2", "2", "1", "0.5", "green,blue", "/"])
    assert program.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert {slot: (one["requests"], one["bad"]) for slot, one in told.items()} == {"green": (5, 0), "blue": (5, 5)}
    (host / "app.json").unlink()
    assert program.main() == 1
    assert capsys.readouterr().err.startswith("slot-probe: ")


def test_usage_is_null_where_a_host_does_not_know(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "MemoryCurrent=1048576\nMemoryMax=infinity\nNRestarts=2\n"
    command = list[str]()

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        command[:] = words
        return subprocess.CompletedProcess(words, 0, told, "")

    monkeypatch.setattr(subprocess, "run", run)
    found = {"memory_bytes": 1048576, "memory_max_bytes": None, "restarts": 2}
    assert program.usage("green") == found
    assert "app@green.service" in command
    told = "MemoryCurrent=[not set]\n"
    assert program.usage("blue") == dict.fromkeys(found)


def test_it_stops_where_most_of_the_first_are_bad_or_slow(program: ModuleType) -> None:
    for took_s, fault in ((0.1, "/: 500"), (2.0, "")):
        seen = program.Asked(0.5)
        for number in range(program.ENOUGH):
            assert not seen.hopeless(), number
            seen.add(took_s, fault)
        assert seen.hopeless()
    half = program.Asked(0.5)
    for number in range(2 * program.ENOUGH):
        half.add(0.1, "/: 500" if number % 2 else "")
    assert not half.hopeless()


def test_processor_time_is_that_of_a_slots_processes_and_their_children(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1}
    monkeypatch.setattr(program, "processes", lambda: (parents, {pid: 100 * pid for pid in parents}))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "10\n", ""))
    assert program.cpu_s("blue") == 100 * (10 + 11 + 12) / os.sysconf("SC_CLK_TCK")
    for main in ("0\n", "99\n", ""):
        monkeypatch.setattr(subprocess, "run", lambda *_, told=main, **__: subprocess.CompletedProcess([], 0, told, ""))
        assert program.cpu_s("blue") is None

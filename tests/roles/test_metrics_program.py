"""Prometheus asked on its own host: its answer with the host's time, or a sentence."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import pytest

from till_host import prometheus as host_prometheus

QUERY = '{job=~"traffic|slots",__name__=~"a|b"}[5s]'
SERIES = [{"metric": {"__name__": "a", "host": "alpha"}, "values": [[1.0, "2"]]}]


class Prometheus(BaseHTTPRequestHandler):
    """Knows one query, and says of others what Prometheus would."""

    def do_GET(self) -> None:
        asked = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["query"]
        status, said = 400, '{"status":"error","error":"parse error"}'
        if asked == [QUERY]:
            status, said = 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": SERIES}})
        elif asked == ["half"]:
            status, said = 200, '{"status":"succ'
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def prometheus() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Prometheus) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def program(prometheus: int, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = host_prometheus
    monkeypatch.setattr(found, "PLACE", f"http://127.0.0.1:{prometheus}/api/v1/query")
    return found


def ask(program: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["metrics", *words])
    return int(program.main())


def test_series_are_told_with_the_time_of_the_host_that_has_them(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(program, monkeypatch, QUERY) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["result"] == SERIES and abs(told["now"] - time.time()) < 5


@pytest.mark.parametrize(
    ("query", "why"), [("nonsense(", "Prometheus says 400: "), ("half", "does not answer")], ids=["refused", "cut off"]
)
def test_what_prometheus_does_not_answer_is_told(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], query: str, why: str
) -> None:
    assert ask(program, monkeypatch, query) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("metrics: ") and why in told.err


def test_where_there_is_no_prometheus_the_next_command_is_told(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "PLACE", "http://127.0.0.1:1/api/v1/query")
    assert ask(program, monkeypatch, QUERY) == 1
    assert "systemctl status prometheus" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), (QUERY, QUERY)])
def test_it_takes_one_query(program: ModuleType, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    assert ask(program, monkeypatch, *words) == 2

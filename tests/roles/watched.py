"""A fleet of two edges that is files and servers on this machine, for the program that watches a release.

Edges are folders of files that a fake `ssh` reads and writes, Prometheus and the shop are servers on loopback, the lock
is a script; `release-watch run` is a process that can be killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from till.paths import CHECKOUT
from till.policy import thresholds

NEW, OLD = "v2.0.0", "v1.0.0"
HOSTS = {"alpha": "127.0.0.1", "bravo": "127.0.0.2"}
LOCK_TOKEN = 41
DEADLINE_S = 60
POLICY = {
    **thresholds()["watch"], "interval_s": 0.1, "settle_s": 1, "retry_s": 0.3, "wait_s": 0.2, "lag_s": 0.5,
    "gap_s": 15, "excused_s": 1, "tell_s": 0.3,
    "restart_hold_s": 0.2,
    "health_hold_s": dict.fromkeys(thresholds()["watch"]["health_hold_s"], 0.3),
}  # fmt: skip
# What the program finds on a host, found elsewhere; the edges speak HTTP here.
PROGRAM = """
import http.client, pathlib, sys
sys.path.insert(0, {checkout!r})
from till_host.change_lock import client
from till_host.notifications import spool
from till_host.release_watch import observe, program, store
folder = pathlib.Path({folder!r})
class Plain(http.client.HTTPConnection):
    def __init__(self, host, port, timeout, context):
        super().__init__(host, {port}, timeout=timeout)
observe.http.client.HTTPSConnection = Plain
observe.PROMETHEUS = "http://127.0.0.1:{port}/api/v1/query"
observe.ORDER = folder / "order"
client.PROGRAM = str(folder / "lease")
store.STATE = folder / "release-watch.json"
store.RESULTS = folder / "results"
store.LOOK = folder / "run" / "look.json"
spool.put.__defaults__ = (folder / "notify",)
program.SETTINGS = folder / "settings.json"
program.RESTART = ("true",)
sys.exit(program.main(sys.argv[1:]))
"""
SSH = """#!{python}
import json, os, pathlib, sys, time
folder, host, words = pathlib.Path({folder!r}), sys.argv[3], sys.argv[4].split()
with (folder / "asked").open("a") as log:
    log.write(host + " " + " ".join(words) + chr(10))
away = folder / (host + ".away")
if away.exists() and away.read_text() in " ".join(words):
    print("no route to " + host, file=sys.stderr)
    sys.exit(255)
slow = folder / (host + ".slow")
if slow.exists() and words[1] == "switch":
    time.sleep(float(slow.read_text()))
state_file = folder / (host + ".json")
state = json.loads(state_file.read_text())
if words[1] == "switch":
    state |= {{"active": words[2], "fence": int(words[5])}}
    partial = state_file.with_suffix("." + str(os.getpid()))
    partial.write_text(json.dumps(state))
    partial.replace(state_file)
print(json.dumps({{"left": 0}} if words[1] == "drain" else state))
"""
LEASE = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
with (folder / "asked").open("a") as log:
    log.write("lease " + " ".join(sys.argv[1:]) + chr(10))
if (folder / "busy").exists():
    print(json.dumps({{"refused": json.loads((folder / "busy").read_text())}}), flush=True)
    sys.exit(5)
print(json.dumps({{"token": {token}}}), flush=True)
for line in sys.stdin:
    if "release" in line:
        break
    print(json.dumps({{"token": {token}}}), flush=True)
"""


@dataclass
class Fleet:
    """`told`: what Prometheus says of a slot by host and slot. `health`: what a release answers, None: nothing.

    `before`: what it says that a slot did before the deploy. `sells`: what each edge's slot counts at each question.
    """

    folder: Path
    told: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    before: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    sells: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    health: dict[str, dict[str, bool] | None] = field(default_factory=dict)
    prometheus: bool = True
    _port: int = 0

    def ready(self, port: int) -> None:
        self._port = port
        for name in ("notify/spool", "notify/told", "results", "run", "bin"):
            (self.folder / name).mkdir(parents=True)
        for name, text in (("bin/ssh", SSH), ("lease", LEASE)):
            path = self.folder / name
            path.write_text(text.format(python=sys.executable, folder=str(self.folder), token=LOCK_TOKEN))
            path.chmod(0o755)
        for host in HOSTS:
            self.slots(host, active="green", blue=OLD, green=NEW)
            for slot, weight in (("green", 100), ("blue", 0)):
                self.told[host, slot] = {"weight": weight, "age": 0.5, "up": 1, "restarts": 0}
            self.before[host, "blue"] = {"paid": 100, "unpaid": 2}
        self.traffic(payments=40)
        self.health = {NEW: {"directus": True, "database": True, "paypal": True}}
        self.health[OLD] = self.health[NEW]
        settings = {
            "host": "ops", "stack": "lab", "addresses": HOSTS, "shop_name": "shop.lab.test", "cookie": "till_release",
            "health_path": "/api/health", "thresholds": {**thresholds(), "watch": POLICY},
        }  # fmt: skip
        settings["thresholds"]["version"] = {"deadline_s": 2}
        (self.folder / "settings.json").write_text(json.dumps(settings))

    def slots(self, host: str, **changed: Any) -> None:
        path = self.folder / f"{host}.json"
        state = json.loads(path.read_text()) if path.exists() else {}
        sticky = {"sticky": {"blue": ["checkout"]}, "digests": {"blue": "b", "green": "g"}}
        path.write_text(json.dumps({**sticky, **state, **changed}))

    def traffic(self, payments: int = 0, unpaid: int = 0, slot: str = "green") -> None:
        """What each edge's slot counts from now on, at each question."""
        for host in HOSTS:
            self.sells[host, slot] = {"paid": payments - unpaid, "unpaid": unpaid, "answered": 400, "failed": 0}

    def ask_prometheus(self, query: str) -> dict[tuple[str, str], dict[str, float]]:
        """What it says now, or of the time before the deploy."""
        if "increase(" in query:
            return self.before
        for place, grown in self.sells.items():
            for what, number in grown.items():
                self.told[place][what] = self.told[place].get(what, 0) + number
        return self.told

    def serves(self, host: str) -> str:
        """The release that an edge leads to."""
        state = json.loads((self.folder / f"{host}.json").read_text())
        return str(state[state["active"]])

    def command(self, *words: str) -> list[str]:
        text = PROGRAM.format(checkout=str(CHECKOUT), folder=str(self.folder), port=self._port)
        return [sys.executable, "-c", text, *words]

    def ask(self, *words: str, given: Any = None) -> Any:
        done = subprocess.run(
            self.command(*words), input=json.dumps(given), capture_output=True, text=True, timeout=30, env=self.env
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def begin(self, watch_s: float = 60, **changed: Any) -> None:
        slots = {host: {"new_slot": "green", "old_slot": "blue"} for host in HOSTS}
        given = {
            "version": NEW, "old_version": OLD, "hosts": slots, "record": f"deploy-20261125T100000-{NEW}", "by": "ann",
            "deploy_at": time.time() - 60, "watch_s": watch_s, "version_path": "/api/version",
            "unasked": ["/api/health", "/api/version"], "contracted": False,
        }  # fmt: skip
        self.ask("begin", given={**given, **changed})

    @contextmanager
    def runs(self) -> Iterator[subprocess.Popen[str]]:
        """The unit's process; what it says goes to a file."""
        with (self.folder / "journal").open("a") as journal:
            process = subprocess.Popen(self.command("run"), stderr=journal, text=True, env=self.env)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    @property
    def watch(self) -> dict[str, Any]:
        return dict(self.ask("show")["watch"])

    def look(self) -> dict[str, Any]:
        """The last look that was had."""
        self.until((self.folder / "run" / "look.json").exists)
        return dict(json.loads((self.folder / "run" / "look.json").read_text()))

    def events(self) -> list[tuple[str, str]]:
        """Severity and title of what people are told, in order."""
        found = [json.loads(path.read_text()) for path in sorted((self.folder / "notify" / "spool").glob("*.json"))]
        return [(one["severity"], one["title"].partition("release: ")[2]) for one in found]

    def asked(self, words: str) -> list[str]:
        path = self.folder / "asked"
        return [line for line in path.read_text().splitlines() if words in line] if path.exists() else []

    def journal(self) -> str:
        return (self.folder / "journal").read_text()

    def until(self, holds: Callable[[], Any]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            said = (self.folder / "journal").read_text() if (self.folder / "journal").exists() else ""
            assert time.monotonic() < deadline, (said[-3000:], self.events())
            time.sleep(0.05)


def _handler(fleet: Fleet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["query"][0]
            series = [
                {"metric": {"host": host, "slot": slot, "what": what}, "value": [0, str(number)]}
                for (host, slot), numbers in list((fleet.ask_prometheus(query) if fleet.prometheus else {}).items())
                for what, number in list(numbers.items())
            ]
            self._answer(200 if fleet.prometheus else 503, {"data": {"result": series}})

        def do_GET(self) -> None:
            host = next(name for name, address in HOSTS.items() if address == self.connection.getsockname()[0])
            release = OLD if "till_release=" in self.headers.get("Cookie", "") else fleet.serves(host)
            if self.path == "/api/version":
                return self._answer(200, {"version": release})
            parts = fleet.health[release]
            if parts is None:
                return self._answer(503, None)
            checks = {name: {"ok": ok} for name, ok in parts.items()}
            serving = parts["directus"] and parts["database"]
            return self._answer(200 if serving else 503, {"version": "2.0.0", "release": release, "checks": checks})

        def _answer(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode() if document is not None else b"<html>unavailable"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """What is asked is no news."""

    return Handler


@contextmanager
def standing(folder: Path) -> Iterator[Fleet]:
    """The fleet, selling."""
    fleet = Fleet(folder)
    server = ThreadingHTTPServer(("0.0.0.0", 0), _handler(fleet))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        fleet.ready(server.server_address[1])
        yield fleet
    finally:
        server.shutdown()
        server.server_close()

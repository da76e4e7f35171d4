"""Make this host's copy the leader by Patroni's own switchover, and measure what that took.

    switchover FROM DEADLINE_S

FROM is the member that leads. Runs where the new leader is, so that nothing of it is on the host that is left. Prints
one JSON object: `promoted_s` and `synchronous_s` (from the request until /primary answers 200 here, and until a
synchronous copy is there), `write_pause_s` (longest time between two synchronously committed writes, one being tried
each `write_interval_s`; it holds what one write takes) and `writes`. Where Patroni says no before anything is done, it
prints `refused` with Patroni's words. Ends with 1 and a sentence when it was begun and did not end well.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from till_host.faults import Fault

SETTINGS = Path("/etc/patroni/patroni.yml")
WRITE_INTERVAL_S = 0.05
# Each question is a handshake that the promotion waits for on a slow host.
POLL_INTERVAL_S = 0.1
RECONNECT_INTERVAL_S = 0.1
# Writes go on for so long after the switch, so that a pause at its end is seen.
SETTLE_S = 2.0
REST_TIMEOUT_S = 5
# It answers in the end; the request itself is bounded by Patroni's own polling (20 s).
REQUEST_TIMEOUT_S = 30
SYNCHRONOUS = "sync_standby"
WRITE = "SELECT pg_logical_emit_message(true, 'till-switchover', '')"


class Patroni:
    """Patroni's REST API, with this host's certificate and the password of its settings."""

    def __init__(self, settings: dict[str, Any]) -> None:
        rest = settings["restapi"]
        self.url = f"https://{rest['connect_address']}"
        self.trust = ssl.create_default_context(cafile=rest["cafile"])
        self.trust.load_cert_chain(rest["certfile"], rest["keyfile"])
        login = rest["authentication"]
        self.login = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()

    def ask(self, path: str, body: dict[str, Any] | None = None, timeout_s: float = REST_TIMEOUT_S) -> tuple[int, str]:
        """Status and text; a POST when there is a body. Raises OSError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Authorization": f"Basic {self.login}"}
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s, context=self.trust) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode(errors="replace")

    def members(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in json.loads(self.ask("/cluster")[1])["members"]}

    def leads_here(self) -> bool:
        try:
            return self.ask("/primary")[0] == 200
        except OSError:
            return False


def connect(settings: dict[str, Any], *hosts: str) -> Any:
    """To the one of these that takes writes."""
    superuser = settings["postgresql"]["authentication"]["superuser"]
    connection = psycopg2.connect(
        host=",".join(hosts), port=5432, dbname="postgres", user=superuser["username"], password=superuser["password"],
        sslmode=superuser["sslmode"], sslrootcert=superuser["sslrootcert"], connect_timeout=2, tcp_user_timeout=2000,
        target_session_attrs="read-write", application_name="till-switchover",
    )  # fmt: skip
    connection.autocommit = True
    return connection


class Writes(threading.Thread):
    """Commits something every moment, as a client that tries again at once; keeps when each commit was acknowledged."""

    def __init__(self, settings: dict[str, Any], *hosts: str) -> None:
        super().__init__(daemon=True)
        self.settings, self.hosts = settings, hosts
        self.acknowledged: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                connection = connect(self.settings, *self.hosts)
                with connection.cursor() as cursor:
                    while not self.over.wait(WRITE_INTERVAL_S):
                        cursor.execute(WRITE)
                        self.acknowledged.append(time.monotonic())
            except psycopg2.Error:
                self.over.wait(RECONNECT_INTERVAL_S)

    def pause_s(self) -> float:
        return max((later - earlier for earlier, later in pairwise(self.acknowledged)), default=0.0)


def until(what: str, holds: Any, deadline: float) -> float:
    """When it held; raises Fault at the deadline."""
    while not holds():
        if time.monotonic() > deadline:
            raise Fault(what)
        time.sleep(POLL_INTERVAL_S)
    return time.monotonic()


def synchronous(patroni: Patroni) -> bool:
    try:
        return any(one["role"] == SYNCHRONOUS for one in patroni.members().values())
    except (OSError, ValueError, KeyError):
        return False


def move(leader: str, deadline_s: float) -> dict[str, Any]:
    settings = yaml.safe_load(SETTINGS.read_text())
    patroni, here = Patroni(settings), settings["name"]
    members = patroni.members()
    if here not in members or leader not in members:
        return {"refused": f"{leader if here in members else here} is no member of the cluster"}
    if members[here]["role"] != SYNCHRONOUS:
        return {"refused": f"{here} is not the synchronous copy of {leader}"}
    writes = Writes(settings, members[leader]["host"], members[here]["host"])
    writes.start()
    try:
        if not until_written(writes):
            return {"refused": f"no write is acknowledged by {leader}"}
        # What is dirty is written while clients still work: the demotion's own checkpoint is short then.
        with connect(settings, members[leader]["host"]).cursor() as cursor:
            cursor.execute("CHECKPOINT")
        began, told = time.monotonic(), list[tuple[int, str]]()
        deadline = began + deadline_s
        asked = threading.Thread(target=request, args=(patroni, leader, told), daemon=True)
        asked.start()
        # A no comes at once; a yes when all is over, so the new leader itself is watched.
        promoted_at = until(
            f"{here} does not lead after {deadline_s:g} s", lambda: patroni.leads_here() or refused(told), deadline
        )
        if refused(told):
            return {"refused": kept(patroni, leader, told)}
        synchronous_at = until("no synchronous copy is there", lambda: synchronous(patroni), deadline)
        until("no write is acknowledged", lambda: writes.acknowledged[-1] > promoted_at, deadline)
        time.sleep(SETTLE_S)
    finally:
        writes.over.set()
    writes.join(REST_TIMEOUT_S)
    return {
        "promoted_s": round(promoted_at - began, 2),
        "synchronous_s": round(synchronous_at - began, 2),
        "write_pause_s": round(writes.pause_s(), 2),
        "writes": len(writes.acknowledged),
        "write_interval_s": WRITE_INTERVAL_S,
    }


def until_written(writes: Writes) -> bool:
    try:
        return until("", lambda: writes.acknowledged, time.monotonic() + REST_TIMEOUT_S) > 0
    except Fault:
        return False


def request(patroni: Patroni, leader: str, told: list[tuple[int, str]]) -> None:
    """Without a candidate Patroni takes the synchronous copy, and the others don't wait 2 s before they follow it."""
    try:
        told.append(patroni.ask("/switchover", {"leader": leader}, REQUEST_TIMEOUT_S))
    except OSError as reason:
        told.append((0, f"Patroni does not answer: {reason}"))


def refused(told: list[tuple[int, str]]) -> bool:
    return bool(told) and told[0][0] not in (200, 202)


def kept(patroni: Patroni, leader: str, told: list[tuple[int, str]]) -> str:
    """Patroni's words, where the old leader still leads; Fault where it does not."""
    status, words = told[0]
    if patroni.members().get(leader, {}).get("role") != "leader":
        raise Fault(f"{leader} leads no more, and Patroni says: {words} ({status})")
    return f"{words} ({status})"


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(json.dumps(move(arguments[0], float(arguments[1]))))
    except (Fault, OSError, psycopg2.Error) as reason:
        print(f"switchover: {str(reason).strip()}", file=sys.stderr)
        return 1
    return 0

"""The process: starts or says why not, stops when told, forgets nothing, and logs no person."""

from __future__ import annotations

import signal
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .conftest import (
    CLIENT_ID,
    PROGRAM,
    PYTHON,
    SECRET,
    Keys,
    Simulator,
    capture_of,
    issue,
    new_request_id,
    order_body,
    wait_for,
)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_forgets_nothing(start: Callable[..., Simulator], how: signal.Signals) -> None:
    paypal = start()
    request_id, order = new_request_id(), paypal.approved()
    before = paypal.capture(order, request_id)
    paypal.fault(path="nothing", kind="slow", count=3)
    ledger = paypal.ledger()
    assert paypal.stop(how) == (0 if how == signal.SIGTERM else -signal.SIGKILL)
    paypal.start()
    # The token lives on too: a shop does not have to log in anew because PayPal restarted.
    again = paypal.capture(order, request_id)
    assert (again.status_code, capture_of(again)) == (200, capture_of(before))
    assert paypal.ledger() == ledger
    assert paypal.client.get("/_simulator/faults").json()["standing"][0]["count"] == 3


def test_killed_under_load_every_answered_capture_is_in_the_ledger(start: Callable[..., Simulator]) -> None:
    paypal = start()
    paypal.login()
    answered: list[str] = []

    def buy() -> None:
        try:
            while True:
                answered.append(paypal.paid()[1]["id"])
        except httpx.TransportError:
            return

    buyers = [threading.Thread(target=buy) for _ in range(4)]
    for buyer in buyers:
        buyer.start()
    wait_for(lambda: len(answered) > 20)
    paypal.stop(signal.SIGKILL)
    for buyer in buyers:
        buyer.join()
    paypal.start()
    captures = paypal.ledger()["captures"]
    assert set(answered) <= {one["id"] for one in captures}
    for one in captures:
        order = paypal.call("GET", f"/v2/checkout/orders/{one['order_id']}")
        assert (order.json()["status"], capture_of(order)["id"]) == ("COMPLETED", one["id"])


def test_a_capture_is_written_whole_or_not_at_all(start: Callable[..., Simulator]) -> None:
    paypal = start()
    order, request_id = paypal.approved(), new_request_id()
    with sqlite3.connect(paypal.folder / "state" / "paypal.sqlite3", isolation_level=None) as database:
        # The last write of the capture fails, as on a full disk.
        database.execute("CREATE TRIGGER full BEFORE INSERT ON done BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        assert issue(paypal.capture(order, request_id)) == (500, "INTERNAL_SERVER_ERROR", "")
        assert paypal.ledger()["captures"] == []
        assert paypal.call("GET", f"/v2/checkout/orders/{order}").json()["status"] == "APPROVED"
        database.execute("DROP TRIGGER full")
    assert paypal.capture(order, request_id).status_code == 201
    assert len(paypal.ledger()["captures"]) == 1


def test_told_to_stop_it_stops_soon_whatever_hangs(start: Callable[..., Simulator]) -> None:
    paypal = start()
    paypal.fault(path="/v1/health", kind="slow", delay_s=60)
    hanging = threading.Thread(target=lambda: _ignore(lambda: paypal.client.get("/v1/health")))
    hanging.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert paypal.stop() == 0
    assert time.monotonic() - began < 6
    hanging.join()


def _ignore(call: Callable[[], object]) -> None:
    try:
        call()
    except httpx.TransportError:
        return


def test_old_tls_and_plain_http_are_refused(paypal: Simulator) -> None:
    context = paypal.keys.trust()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{paypal.url}/v1/health", verify=context)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{paypal.port}/v1/health")


def test_the_log_is_json_without_persons_or_secrets(paypal: Simulator) -> None:
    body = order_body()
    body["payment_source"]["paypal"]["email_address"] = "layla@shop.example"
    answer = paypal.call("POST", "/v2/checkout/orders?email=layla@shop.example", body)
    paypal.approve(answer.json()["id"])
    paypal.call("GET", "/v2/layla@shop.example")
    paypal.client.post("/v1/oauth2/token", auth=(CLIENT_ID, "wr0ng-canary"), data={"grant_type": "client_credentials"})
    text = paypal.log.read_text()
    lines = paypal.log_lines()
    assert len(lines) == len(text.splitlines())
    assert {"method", "path", "status", "duration_ms", "debug_id"} == set(lines[-1])
    assert answer.headers["PayPal-Debug-Id"] in {line["debug_id"] for line in lines}
    for canary in (SECRET, "wr0ng-canary", paypal.token, "layla", "buyer@example.com", "Buyer"):
        assert canary not in text


def test_secrets_stand_nowhere_in_the_state(paypal: Simulator) -> None:
    paypal.login()
    state = paypal.folder / "state"
    kept = b"".join(path.read_bytes() for path in state.iterdir())
    assert paypal.token.encode() not in kept
    assert SECRET.encode() not in kept
    assert (state / "webhook.pem").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(state / "paypal.sqlite3") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    command_line = Path(f"/proc/{paypal.process.pid}/cmdline").read_bytes()
    assert SECRET.encode() not in command_line


@pytest.mark.parametrize("broken", ["cert", "secret", "empty"])
def test_what_is_missing_is_named(tmp_path: Path, keys: Keys, broken: str) -> None:
    secret = tmp_path / "secret"
    if broken != "secret":
        secret.write_text("" if broken == "empty" else SECRET)
    cert = tmp_path / "none.pem" if broken == "cert" else keys.cert
    done = subprocess.run(
        [
            PYTHON, "-m", "paypal_simulator", "--cert", cert, "--key", keys.key, "--client-id", CLIENT_ID,
            "--client-secret-file", secret, "--state", tmp_path / "state", "--public-url", "https://paypal.example",
        ],
        cwd=PROGRAM, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert {"cert": "No such file", "secret": str(secret), "empty": "is empty"}[broken] in done.stderr

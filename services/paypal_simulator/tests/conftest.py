"""A simulator as it runs in a lab: a process of its own, over TLS, on a state folder."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from till.trust import trusting

PROGRAM = Path(__file__).parents[1]
# Another Python, like one with Debian 12's aiohttp 3.8, is given by path.
PYTHON = os.environ.get("PAYPAL_SIMULATOR_PYTHON", sys.executable)
CLIENT_ID, SECRET = "client-of-tests", "canary-c1ient-s3cret"
START_TIMEOUT_S, STOP_TIMEOUT_S, CALL_TIMEOUT_S = 15, 8, 10
PAUSES_S = "0,0.05,0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any], timeout_s: float = CALL_TIMEOUT_S) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


class Keys:
    """A certificate for 127.0.0.1 that is its own CA."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
        begins = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        built = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(addresses), critical=True).sign(key, hashes.SHA256())
        )  # fmt: skip
        self.cert.write_bytes(built.public_bytes(serialization.Encoding.PEM))
        none = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
        self.key.write_bytes(pem)

    def trust(self) -> ssl.SSLContext:
        # Several threads ask over one client.
        return trusting(self.cert.read_text())


class Simulator:
    """The process, and a client of it."""

    def __init__(self, folder: Path, keys: Keys, *options: str) -> None:
        self.folder, self.keys, self.options = folder, keys, options
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.log = folder / "log"
        (folder / "secret").write_text(SECRET + "\n")
        self.client = httpx.Client(base_url=self.url, verify=keys.trust(), timeout=CALL_TIMEOUT_S)
        self.token = ""
        self.start()

    def start(self) -> None:
        words = {
            "--listen": f"127.0.0.1:{self.port}", "--cert": self.keys.cert, "--key": self.keys.key,
            "--client-id": CLIENT_ID, "--client-secret-file": self.folder / "secret",
            "--state": self.folder / "state", "--public-url": self.url, "--webhook-pauses-s": PAUSES_S,
        }  # fmt: skip
        arguments = [str(part) for pair in words.items() for part in pair]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-m", "paypal_simulator", *arguments, *self.options],
                cwd=PROGRAM, stdout=log, stderr=log,
                # Compiled once for all starts, and not into the source's folders.
                env={"PATH": os.defpath, "PYTHONPYCACHEPREFIX": str(self.keys.cert.parent / "bytecode")},
            )  # fmt: skip
        wait_for(self.answers, START_TIMEOUT_S)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get("/v1/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(STOP_TIMEOUT_S)

    def login(self) -> str:
        answer = self.client.post(
            "/v1/oauth2/token", auth=(CLIENT_ID, SECRET), data={"grant_type": "client_credentials"}
        )
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]
        return self.token

    def call(self, method: str, path: str, body: Any = None, request_id: str = "", **headers: str) -> httpx.Response:
        """A request with a token; headers' underscores stand for dashes."""
        sent = {"Authorization": f"Bearer {self.token or self.login()}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if request_id:
            sent["PayPal-Request-Id"] = request_id
        return self.client.request(method, path, json={} if body is None and method == "POST" else body, headers=sent)

    def order(self, value: str = "32.10", **more: Any) -> dict[str, Any]:
        answer = self.call("POST", "/v2/checkout/orders", order_body(value) | more, Prefer="return=representation")
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def approve(self, order: str) -> None:
        answer = self.client.post("/_simulator/approve", json={"order_id": order})
        assert answer.status_code == 200, answer.text

    def approved(self, value: str = "32.10") -> str:
        order = str(self.order(value)["id"])
        self.approve(order)
        return order

    def capture(self, order: str, request_id: str = "", **headers: str) -> httpx.Response:
        return self.call("POST", f"/v2/checkout/orders/{order}/capture", request_id=request_id, **headers)

    def paid(self, value: str = "32.10") -> tuple[str, dict[str, Any]]:
        """Order id and capture."""
        order = self.approved(value)
        answer = self.capture(order)
        assert answer.status_code == 201, answer.text
        return order, capture_of(answer)

    def fault(self, **document: Any) -> None:
        answer = self.client.post("/_simulator/faults", json=document)
        assert answer.status_code == 201, answer.text

    def ledger(self) -> dict[str, list[dict[str, Any]]]:
        return dict(self.client.get("/_simulator/ledger").json())

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def order_body(value: Any = "32.10", currency: Any = "USD") -> dict[str, Any]:
    context = {"return_url": "https://shop.example/en/success?a=1", "cancel_url": "https://shop.example/en/cancel"}
    return {
        "intent": "CAPTURE",
        "purchase_units": [{"custom_id": "attempt-1", "amount": {"currency_code": currency, "value": value}}],
        "payment_source": {"paypal": {"experience_context": context}},
    }


def capture_of(answer: httpx.Response) -> dict[str, Any]:
    (capture,) = answer.json()["purchase_units"][0]["payments"]["captures"]
    return dict(capture)


def issue(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, name and issue of an answer in PayPal's shape of errors."""
    told = answer.json()
    assert told["debug_id"] == answer.headers["PayPal-Debug-Id"]
    assert told["message"]
    return answer.status_code, told["name"], told["details"][0]["issue"] if "details" in told else ""


def new_request_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def start(tmp_path: Path, keys: Keys) -> Iterator[Callable[..., Simulator]]:
    """Simulators of this test alone; each on the same state folder."""
    started: list[Simulator] = []

    def begin(*options: str) -> Simulator:
        started.append(Simulator(tmp_path, keys, *options))
        return started[-1]

    yield begin
    for one in started:
        one.client.close()
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture(scope="session")
def paypal(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[Simulator]:
    """One simulator for all tests that don't stop it or look at its webhooks; each makes orders of its own."""
    running = Simulator(tmp_path_factory.mktemp("simulator"), keys)
    yield running
    running.client.close()
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


class Receiver:
    """A shop that takes webhooks over TLS; answers with `statuses` in turn, then with 200."""

    def __init__(self, keys: Keys, port: int = 0) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(keys.cert, keys.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/webhook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def events(self, kind: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for headers, body in self.got if json.loads(body)["event_type"] == kind]


@pytest.fixture
def receiver(keys: Keys) -> Iterator[Receiver]:
    shop = Receiver(keys)
    yield shop
    shop.server.shutdown()
    shop.server.server_close()

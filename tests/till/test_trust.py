"""A context that threads share stays as it is while they connect."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from till.trust import trusting


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / "key.pem")]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    subprocess.run(
        ["openssl", "req", "-x509", *key, *names, "-out", str(folder / "cert.pem")], check=True, capture_output=True
    )
    return folder / "cert.pem"


@pytest.fixture
def address(certificate: Path) -> Iterator[str]:
    class Spoken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = str(self.connection.selected_alpn_protocol()).encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.set_alpn_protocols(["http/1.1"])
    with ThreadingHTTPServer(("127.0.0.1", 0), Spoken) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()


def spoken(address: str, context: ssl.SSLContext) -> str:
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.get(address).text


@pytest.fixture
def times_set(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Each time that OpenSSL's own list of protocols is replaced."""
    seen: list[bytes] = []

    def replaced(context: ssl.SSLContext, protocols: bytes) -> None:
        seen.append(bytes(protocols))
        ssl._ssl._SSLContext._set_alpn_protocols(context, protocols)  # type: ignore[attr-defined]

    monkeypatch.setattr(ssl.SSLContext, "_set_alpn_protocols", replaced, raising=False)
    return seen


def test_protocols_are_set_before_the_first_connection_and_never_again(
    certificate: Path, address: str, times_set: list[bytes]
) -> None:
    shared = trusting(certificate.read_text())
    assert [spoken(address, shared) for _ in range(3)] == ["http/1.1"] * 3
    assert len(times_set) == 1
    # What it is for: any other context is changed by each connection.
    plain = ssl.create_default_context(cadata=certificate.read_text())
    times_set.clear()
    assert [spoken(address, plain) for _ in range(3)] == ["http/1.1"] * 3
    assert len(times_set) == 3


def test_others_and_other_names_are_not_trusted(certificate: Path, address: str) -> None:
    for context, where in (
        (trusting(), address),
        (trusting(certificate.read_text()), address.replace("localhost", "127.0.0.1")),
    ):
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            spoken(where, context)

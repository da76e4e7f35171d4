"""One HTTPS request to an address under a name: TLS is verified for the name, whatever the address."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any

CA = "/etc/till/pki/ca.pem"


class _Connection(http.client.HTTPSConnection):
    """Goes to `address` and speaks with `name`."""

    def __init__(self, place: Place, connect_timeout_s: float, timeout_s: float) -> None:
        super().__init__(place.name, place.port, timeout=timeout_s)
        self.place, self.connect_timeout_s = place, connect_timeout_s

    def connect(self) -> None:
        raw = socket.create_connection((self.place.address, self.place.port), timeout=self.connect_timeout_s)
        try:
            self.sock = self.place.trust.wrap_socket(raw, server_hostname=self.place.name)
            self.sock.settimeout(self.timeout)
        except BaseException:
            raw.close()
            raise


@dataclass(frozen=True)
class Place:
    """Where to ask, under which name, and whom to trust."""

    name: str
    address: str
    trust: ssl.SSLContext
    port: int = 443

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *,
        connect_timeout_s: float, timeout_s: float,
    ) -> tuple[int, bytes]:  # fmt: skip
        """Status and body; raises OSError or http.client.HTTPException. `body` goes as JSON."""
        connection = _Connection(self, min(connect_timeout_s, timeout_s), timeout_s)
        data = None if body is None else json.dumps(body)
        told = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, data, {"Host": self.name, **told, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def internal_trust() -> ssl.SSLContext:
    """In the stack's own CA alone."""
    return ssl.create_default_context(cafile=CA)


def public_trust(root: dict[str, Any]) -> ssl.SSLContext:
    """In whoever signs public names: a CA that tells it at `root` (name, address, port, path), or the machine's own."""
    if not root:
        return ssl.create_default_context()
    place = Place(root["name"], root["address"], internal_trust(), root["port"])
    status, pem = place.ask("GET", root["path"], connect_timeout_s=5, timeout_s=10)
    if status != 200:
        raise OSError(f"the test CA at {root['name']} does not tell its root: {status}")
    return ssl.create_default_context(cadata=pem.decode())

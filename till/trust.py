"""Whom TLS connections trust: contexts that the threads of one program may share."""

from __future__ import annotations

import ssl
from typing import Any

# What httpcore asks for at every connection.
SPOKEN = ["http/1.1"]


class Shared(ssl.SSLContext):
    """A client's context whose protocols are set once.

    httpcore sets them anew at each connection. OpenSSL frees the old ones then, also while a connection of another
    thread copies them, which goes on with a broken hello: "bad extension", seen once in 88 000 handshakes.
    """

    _spoken: list[str] | None = None

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        if list(alpn_protocols) != self._spoken:
            super().set_alpn_protocols(alpn_protocols)
            self._spoken = list(alpn_protocols)


def trusting(authority_pem: str = "") -> ssl.SSLContext:
    """Trust in one authority alone, or in the machine's roots; certificate and name are verified."""
    context = Shared(ssl.PROTOCOL_TLS_CLIENT)
    if authority_pem:
        context.load_verify_locations(cadata=authority_pem)
    else:
        context.load_default_certs()
    context.set_alpn_protocols(SPOKEN)
    return context

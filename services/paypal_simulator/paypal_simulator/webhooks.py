"""Webhook events, signed as PayPal signs them: SHA256withRSA over id|time|webhook id|crc32(body)."""

from __future__ import annotations

import base64
import json
import re
import uuid
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from paypal_simulator.orders import now

CERTIFICATE_PATH = "/v1/notifications/certs/simulator"
ALGORITHM = "SHA256withRSA"
RESOURCE_TYPES = {"CHECKOUT": "checkout-order", "REFUNDED": "refund"}


class Signer:
    """The key that signs, made once and kept in the state folder, and its certificate."""

    def __init__(self, folder: Path) -> None:
        path = folder / "webhook.pem"
        if path.exists():
            loaded = serialization.load_pem_private_key(path.read_bytes(), None)
            if not isinstance(loaded, rsa.RSAPrivateKey):
                raise ValueError(f"{path} holds no RSA key; remove it, and the next start makes one")
            self._key = loaded
        else:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            _write_whole(path, self._key)
        self.certificate = self._certificate()

    def _certificate(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "messageverificationcerts.paypal.simulator")])
        begins = datetime.now(UTC) - timedelta(days=1)
        built = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
            .serial_number(1).not_valid_before(begins).not_valid_after(begins + timedelta(days=3650))
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        return built.public_bytes(serialization.Encoding.PEM)

    def sign(self, message: str) -> str:
        """The signature as base64."""
        return base64.b64encode(self._key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    def verifies(self, message: str, signature: str) -> bool:
        """Whether the signature is ours."""
        try:
            given = base64.b64decode(signature, validate=True)
            self._key.public_key().verify(given, message.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def _write_whole(path: Path, key: rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(pem)
    # A kill while writing must not leave half a key for the next start.
    part.replace(path)


def message(transmission_id: str, transmission_time: str, webhook_id: str, body: bytes) -> str:
    """What is signed."""
    return f"{transmission_id}|{transmission_time}|{webhook_id}|{zlib.crc32(body)}"


def event(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    """A webhook event."""
    return {
        "id": f"WH-{uuid.uuid4().hex[:17].upper()}-{uuid.uuid4().hex[:17].upper()}",
        "event_version": "1.0",
        "create_time": now(),
        "resource_type": next((told for part, told in RESOURCE_TYPES.items() if part in kind.split(".")), "capture"),
        "resource_version": "2.0",
        "event_type": kind,
        "summary": kind.replace(".", " ").lower(),
        "resource": resource,
    }


def written(document: dict[str, Any]) -> str:
    """JSON as JavaScript's JSON.stringify writes it, so that an event verifies also when an app wrote it anew."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def sent(text: str) -> bytes:
    """The bytes on the wire; half of a surrogate pair is escaped, as JSON.stringify does too."""
    return text.encode(errors="backslashreplace")


def raw_event(request_body: str) -> bytes:
    """The bytes of `webhook_event` in a verify request, as they stand there; raises ValueError without one.

    The signature covers bytes: an event that a client parsed and wrote anew may verify no more, as with PayPal.
    """
    # Inside a JSON text a quote is escaped, so this can only be a name.
    found = re.search(r'"webhook_event"\s*:\s*', request_body)
    if found is None:
        raise ValueError("no webhook_event")
    _, end = json.JSONDecoder().raw_decode(request_body, found.end())
    return request_body[found.end() : end].encode()

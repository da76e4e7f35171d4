"""Webhooks, signed as PayPal signs them: SHA256withRSA over id|time|webhook id|crc32(body)."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import uuid
import zlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from paypal_simulator.orders import now

RETRY_DELAYS_S = (0.0, 1.0, 3.0, 10.0, 30.0)
SEND_TIMEOUT_S = 10
LOG = logging.getLogger("paypal_simulator")


class Signer:
    """The key that signs, made once and kept in the state folder."""

    def __init__(self, folder: Path) -> None:
        path = folder / "webhook.pem"
        if path.exists():
            loaded = serialization.load_pem_private_key(path.read_bytes(), None)
            assert isinstance(loaded, rsa.RSAPrivateKey)
            self._key = loaded
        else:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            path.touch(mode=0o600)
            path.write_bytes(
                self._key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )

    def certificate(self) -> bytes:
        """A self-signed certificate of the key (PEM)."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "messageverificationcerts.paypal.simulator")])
        begins = datetime.now(timezone.utc) - timedelta(days=1)  # noqa: UP017 - Debian's Python
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
            self._key.public_key().verify(
                base64.b64decode(signature), message.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, ValueError):
            return False
        return True


def message(transmission_id: str, transmission_time: str, webhook_id: str, body: bytes) -> str:
    """What is signed."""
    return f"{transmission_id}|{transmission_time}|{webhook_id}|{zlib.crc32(body)}"


def event(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    """A webhook event."""
    return {
        "id": f"WH-{uuid.uuid4().hex[:17].upper()}-{uuid.uuid4().hex[:17].upper()}",
        "event_version": "1.0",
        "create_time": now(),
        "resource_type": "refund" if "REFUNDED" in kind else "capture",
        "resource_version": "2.0",
        "event_type": kind,
        "summary": kind.replace(".", " ").lower(),
        "resource": resource,
    }


class Sender:
    """Delivers events, with bounded retries."""

    def __init__(self, signer: Signer, public_url: str, trust: ssl.SSLContext | bool) -> None:
        self._signer, self._public_url, self._trust = signer, public_url, trust
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, hook: dict[str, Any], body: dict[str, Any]) -> None:
        """Deliver in the background."""
        task = asyncio.get_running_loop().create_task(self._deliver(hook, json.dumps(body).encode()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, hook: dict[str, Any], body: bytes) -> None:
        transmission, at = str(uuid.uuid4()), now()
        headers = {
            "Content-Type": "application/json",
            "PAYPAL-TRANSMISSION-ID": transmission,
            "PAYPAL-TRANSMISSION-TIME": at,
            "PAYPAL-TRANSMISSION-SIG": self._signer.sign(message(transmission, at, hook["id"], body)),
            "PAYPAL-CERT-URL": f"{self._public_url}/v1/notifications/certs/simulator",
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        }
        timeout = aiohttp.ClientTimeout(total=SEND_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for delay_s in RETRY_DELAYS_S:
                await asyncio.sleep(delay_s)
                try:
                    async with session.post(hook["url"], data=body, headers=headers, ssl=self._trust) as answer:  # type: ignore[arg-type,unused-ignore]
                        if answer.status < 300:
                            return
                        LOG.info(
                            json.dumps(
                                {"event": "webhook_refused", "status": answer.status, "transmission": transmission}
                            )
                        )
                except (aiohttp.ClientError, asyncio.TimeoutError) as reason:  # noqa: UP041 - Debian's aiohttp
                    LOG.info(
                        json.dumps(
                            {
                                "event": "webhook_unreachable",
                                "reason": type(reason).__name__,
                                "transmission": transmission,
                            }
                        )
                    )

    async def close(self) -> None:
        """Give up what was not delivered."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

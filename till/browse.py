"""Open a lab in Chromium: its names and its certificate, in a profile of its own."""

from __future__ import annotations

import base64
import hashlib
import shlex
import shutil
import socket
import ssl
import tempfile

from infra.contract import Contract
from till import probe
from till.errors import UsageError


def _spki(address: str, port: int, name: str) -> str:
    """The public key's hash (base64 of SHA-256), which Chromium can be told to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((address, port), timeout=5) as raw,
        unverified.wrap_socket(raw, server_hostname=name) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(der or b"").public_key()
    return base64.b64encode(
        hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()


def command(contract: Contract) -> list[str]:
    """The Chromium command for a stack's shop. Raises UsageError without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise UsageError("no Chromium on this machine", "apt-get install chromium")
    shop = probe.resolve(contract, contract.names.shop)[0]
    rules = [f"MAP {name} {shop}" for name in (contract.names.shop, contract.names.admin, contract.names.api)]
    keys = [_spki(shop, 443, contract.names.shop)]
    if contract.outside is not None:
        rules.append(f"MAP {contract.outside.paypal_name} {contract.outside.host.address}")
        keys.append(_spki(contract.outside.host.address, 8443, contract.outside.paypal_name))
    return [
        chromium,
        f"--user-data-dir={tempfile.mkdtemp(prefix='till-browser-')}",
        f"--host-resolver-rules={', '.join(rules)}",
        f"--ignore-certificate-errors-spki-list={','.join(keys)}",
        "--no-first-run",
        f"https://{contract.names.shop}/en",
    ]


def printable(words: list[str]) -> str:
    """The command as one line for a shell."""
    return shlex.join(words)

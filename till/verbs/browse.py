"""Open a lab in Chromium: its names and its certificate, in a profile of its own."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import tempfile

from infra.contract import Contract
from till.errors import UsageError
from till.public_dns import lookup
from till.stacks import stack


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


def chromium() -> str:
    """The browser's path; raises UsageError when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise UsageError("no Chromium on this machine", "apt-get install chromium")
    return found


def show(name: str) -> list[str]:
    """Open a stack's shop and wait until the browser is closed; its profile is removed. Returns the command."""
    with tempfile.TemporaryDirectory(prefix="till-browser-", ignore_cleanup_errors=True) as profile:
        words = command(stack.contract(name), chromium(), profile)
        subprocess.run(words, check=False)
    return words


def command(contract: Contract, chromium: str, profile: str) -> list[str]:
    """The Chromium command for a stack's shop; names go to the stack's addresses, its keys are trusted."""
    shop = lookup.resolve(contract, contract.names.shop)[0]
    rules = [f"MAP {name} {shop}" for name in (contract.names.shop, contract.names.admin, contract.names.api)]
    keys = [_spki(shop, 443, contract.names.shop)]
    if contract.outside is not None:
        rules.append(f"MAP {contract.outside.paypal_name} {contract.outside.host.address}")
        keys.append(_spki(contract.outside.host.address, 8443, contract.outside.paypal_name))
    return [
        chromium,
        f"--user-data-dir={profile}",
        # Chromium's sandbox does not start as root.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        f"--host-resolver-rules={', '.join(rules)}",
        f"--ignore-certificate-errors-spki-list={','.join(keys)}",
        "--no-first-run",
        f"https://{contract.names.shop}/en",
    ]


def printable(name: str) -> str:
    """The command as one line for a shell."""
    words = command(stack.contract(name), "chromium", "PROFILE")
    return shlex.join(words).replace("--user-data-dir=PROFILE", '--user-data-dir="$(mktemp -d)"')

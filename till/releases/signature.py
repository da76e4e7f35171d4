"""The signature of a release's manifest: Ed25519 over the file's bytes, by the key of the stack.

The manifest holds the SHA-256 of the artefact and of the SBOM, so one signature vouches for all three. Hosts check it
by `openssl pkeyutl -verify -rawin` (the program `release`).
"""

from __future__ import annotations

from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from infra.contract import ReleaseKey


def sign(content: bytes, key: ReleaseKey) -> bytes:
    """A signature of 64 bytes."""
    pem = key.private_key_pem.get_secret_value().encode()
    return cast(Ed25519PrivateKey, serialization.load_pem_private_key(pem, password=None)).sign(content)


def is_by(key: ReleaseKey, content: bytes, signature: bytes) -> bool:
    """Whether the key signed exactly these bytes."""
    public = cast(Ed25519PublicKey, serialization.load_pem_public_key(key.public_key_pem.encode()))
    try:
        public.verify(signature, content)
    except InvalidSignature:
        return False
    return True

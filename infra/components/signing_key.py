"""The key pair that signs a stack's releases: made once, its private half kept in the stack's encrypted state."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


def new_key_pair() -> tuple[str, str]:
    """An Ed25519 private key (PKCS #8) and its public key (SubjectPublicKeyInfo), both PEM as OpenSSL reads them."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


class SigningKeyProvider(ResourceProvider):
    """No inputs; outputs: private_key_pem (secret), public_key_pem."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)

    def create(self, _props: dict[str, Any]) -> CreateResult:
        import hashlib

        private, public = new_key_pair()
        outs = {"private_key_pem": private, "public_key_pem": public}
        return CreateResult(hashlib.sha256(public.encode()).hexdigest()[:16], outs)


class SigningKey(Resource, module="till", name="SigningKey"):
    """An Ed25519 key pair whose private half is a Pulumi secret; `pulumi up --replace` makes another."""

    private_key_pem: pulumi.Output[str]
    public_key_pem: pulumi.Output[str]

    def __init__(self, resource_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key_pem"])
        super().__init__(
            SigningKeyProvider(),
            resource_name,
            {"private_key_pem": None, "public_key_pem": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )

"""The lab's SSH key pair: made once, kept in the stack's encrypted state."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


def new_key_pair(comment: str) -> tuple[str, str]:
    """An ed25519 private key in OpenSSH's format and its public key line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}"


class SshKeyProvider(ResourceProvider):
    """Input: comment; outputs besides: private_key (OpenSSH, secret), public_key (one line)."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        moved = ["comment"] if _olds.get("comment") != _news.get("comment") else []
        return DiffResult(changes=bool(moved), replaces=moved)

    def create(self, props: dict[str, Any]) -> CreateResult:
        import hashlib

        private, public = new_key_pair(props["comment"])
        outs = {**props, "private_key": private, "public_key": public}
        return CreateResult(hashlib.sha256(public.encode()).hexdigest()[:16], outs)


class SshKey(Resource, module="till", name="SshKey"):
    """An ed25519 key pair whose private half is a Pulumi secret."""

    private_key: pulumi.Output[str]
    public_key: pulumi.Output[str]

    def __init__(self, resource_name: str, *, comment: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        super().__init__(
            SshKeyProvider(),
            resource_name,
            {"comment": comment, "private_key": None, "public_key": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )

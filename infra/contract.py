"""The contract: the one typed, versioned document that `infra/` hands to `till/`.

A stack exports it as the secret output `contract` (a JSON text). Nothing else of a
stack is read by the runner.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr

CONTRACT_VERSION: Literal[2] = 2
# Read too, and written anew as ours by the next `pulumi up`.
OLDER_VERSION = 1

Environment = Literal["lab", "staging", "production"]
PayPalMode = Literal["simulator", "sandbox", "live"]

# The names of secrets that are addresses of channels begin so; each is a secret of its own, so that each is redacted.
CHANNEL = "notify_channel_"

# A secret prints as ********** everywhere but in the contract's own JSON.
Secret = Annotated[
    SecretStr,
    PlainSerializer(lambda secret: secret.get_secret_value(), when_used="json"),
]


class Role(StrEnum):
    """What a host is there for; an inventory group has the same name."""

    EDGE = "edge"
    APP = "app"
    DATABASE = "database"
    ETCD = "etcd"
    NAMESERVER = "nameserver"
    BACKUP_REPOSITORY = "backup_repository"
    MONITORING = "monitoring"
    LOG_STORE = "log_store"
    # The outside world of a lab, on the `outside` host only.
    ACME_CA = "acme_ca"
    PAYPAL_SIMULATOR = "paypal_simulator"
    RESOLVER = "resolver"
    WEBHOOK = "webhook"


OUTSIDE_ROLES = frozenset({Role.ACME_CA, Role.PAYPAL_SIMULATOR, Role.RESOLVER, Role.WEBHOOK})


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Host(_Document):
    """A machine reached by SSH. `host_key` is one public key line without a comment."""

    name: str
    address: str
    port: int = 22
    user: str
    host_key: str
    site: str
    roles: tuple[Role, ...]


class Names(_Document):
    """Fully qualified names without a trailing dot; `zone` is served by the nameservers, signed if `dnssec`."""

    zone: str
    shop: str
    admin: str
    api: str
    dnssec: bool = False


class DnsProvider(_Document):
    """Who keeps the public zone in the place of the stack's nameservers: a provider of dns-lexicon and its options.

    `nameservers` answer for the zone (names or addresses); where it is empty, the zone's NS records name them.
    """

    provider: str
    options: dict[str, str]
    credentials: dict[str, Secret]
    nameservers: tuple[str, ...]


class PayPal(_Document):
    """Where payments go. The client secret is in `Contract.secrets`."""

    mode: PayPalMode
    api_url: str
    client_id: str
    webhook_id: str


class Acme(_Document):
    """The certificate authority of public names; `ca_pem` signed its own TLS where the machine's roots did not."""

    directory_url: str
    email: str
    ca_pem: str | None = None


class Settlement(_Document):
    """Charge currency and its rate, in units of `currency` per 1 OMR (a decimal text)."""

    currency: str
    rate_per_omr: str


class Offsite(_Document):
    """A bucket (S3) with the second repository of backups. Its keys are in `Contract.secrets`."""

    endpoint: str
    port: int
    bucket: str
    region: str
    path: str
    uri_style: Literal["host", "path"]
    ca_pem: str = ""


class Certificate(_Document):
    """A host's certificate from the internal CA, for server and client use."""

    certificate_pem: str
    private_key_pem: Secret


class ReleaseKey(_Document):
    """Signs a stack's releases (Ed25519, PEM): the runner signs with one half, hosts check with the other."""

    public_key_pem: str
    private_key_pem: Secret


class Outside(_Document):
    """The host that plays the world outside a lab: PayPal simulator, ACME test CA, resolver, people's channels."""

    host: Host
    paypal_name: str
    acme_name: str


class RotatedSecret(_Document):
    """A secret as it is, and as it was before its last rotation while what used the older one may still run."""

    current: Secret
    previous: Secret | None = None

    def get_secret_value(self) -> str:
        """The current value."""
        return self.current.get_secret_value()

    def values(self) -> list[str]:
        """Every value that must stay secret."""
        return [one.get_secret_value() for one in (self.current, self.previous) if one is not None]


class Vps(_Document):
    """Edge and app run under systemd on the hosts of these roles."""

    kind: Literal["vps"] = "vps"


class Swarm(_Document):
    """Edge and app run as services of a Docker Swarm on the stack's hosts; `managers` by name."""

    kind: Literal["swarm"] = "swarm"
    managers: tuple[str, ...] = Field(min_length=1)


class Kubernetes(_Document):
    """Edge and app run in one namespace of a cluster. `kubeconfig` is a whole document of kubectl's."""

    kind: Literal["kubernetes"] = "kubernetes"
    kubeconfig: Secret
    namespace: str


# Where edge and app run. Database, backups, names and monitoring are on the stack's hosts whatever it is.
Platform = Annotated[Vps | Swarm | Kubernetes, Field(discriminator="kind")]


class Contract(_Document):
    version: Literal[2] = CONTRACT_VERSION
    stack: str
    environment: Environment
    platform: Platform = Vps()
    hosts: tuple[Host, ...] = Field(min_length=1)
    outside: Outside | None = None
    names: Names
    dns_provider: DnsProvider | None = None
    paypal: PayPal
    acme: Acme
    settlement: Settlement
    backup_offsite: Offsite | None = None
    public_env: dict[str, str] = {}
    ssh_private_key: Secret | None = None
    release_key: ReleaseKey
    internal_ca_pem: str
    host_certificates: dict[str, Certificate]
    secrets: dict[str, RotatedSecret]

    def channels(self) -> list[str]:
        """Addresses of the channels that people are told through (till:notify), in their order."""
        found = {name: value for name, value in self.secrets.items() if name.startswith(CHANNEL)}
        return [found[name].get_secret_value() for name in sorted(found)]

    def to_json(self) -> str:
        """The document as JSON text, secrets in clear: keep it inside a Pulumi secret."""
        return self.model_dump_json()

    def public(self) -> dict[str, Any]:
        """The document with every secret redacted, safe to print."""
        redacted: dict[str, Any] = json.loads(
            json.dumps(self.model_dump(mode="python"), default=lambda _: "[REDACTED]")
        )
        return redacted


def parse(text: str) -> Contract:
    """Read a contract, also one of the version before; raises ValueError with the version found when it is neither."""
    document = json.loads(text)
    found = document.get("version")
    if found == OLDER_VERSION:
        document = upgrade(document)
    elif found != CONTRACT_VERSION:
        raise ValueError(
            f"contract version {found!r} found, {OLDER_VERSION} and {CONTRACT_VERSION} understood: "
            "run `pulumi up` with this checkout's program"
        )
    return Contract.model_validate(document)


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """A document of version 1 as one of version 2: all ran on VPS hosts, and no secret had a value of before. Pure."""
    secrets = {name: {"current": value} for name, value in document.get("secrets", {}).items()}
    return {**document, "version": CONTRACT_VERSION, "platform": {"kind": "vps"}, "secrets": secrets}

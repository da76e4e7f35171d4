"""A stack's configuration, typed and checked before anything is touched. Pure: no file, no environment, no network.

The stack files `Pulumi.<stack>.yaml` are the policy; `rules` holds what one value says about another.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from infra import rules
from infra.contract import Environment, PayPalMode, Role
from infra.formats import (
    AUTO,
    Address,
    Channel,
    Decimal,
    DomainName,
    HostKey,
    HostName,
    HttpsUrl,
    Label,
    Port,
    Server,
    Subnet,
)
from infra.problem import Problem


class SettingsError(ValueError):
    """One or more settings can't be used; the message names each key, its value and the next command."""


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class HostSettings(_Settings):
    """A machine; address, port, user and host key are given where it exists, and absent where Pulumi makes it."""

    name: Label
    site: Label
    roles: tuple[Role, ...] = Field(min_length=1)
    address: Address | None = None
    port: Port = 22
    user: str = Field("till", pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    host_key: HostKey | None = None


class OutsideSettings(_Settings):
    """The machine that plays the world outside; same fields as a host, its roles are fixed."""

    name: Literal["outside"]
    address: Address | None = None
    port: Port = 22
    user: str = Field("till", pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    host_key: HostKey | None = None


AnyHost = HostSettings | OutsideSettings
# Pulumi hands every value over as a text.
SWITCH = {"true": True, "false": False}


class OffsiteSettings(_Settings):
    """A bucket elsewhere that keeps a second repository of backups; its keys are settings of their own."""

    endpoint: HostName
    port: Port = 443
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    region: str = Field(pattern=r"^[a-z0-9-]+$")
    path: str = Field("/till", pattern=r"^(/[A-Za-z0-9._-]+)+$")
    uri_style: Literal["host", "path"] = "host"
    # Of a store whose certificate the machine's own roots don't vouch for.
    ca_pem: str = Field("", pattern=r"^(-----BEGIN CERTIFICATE-----[\s\S]*)?$")


class DnsProviderSettings(_Settings):
    """Who keeps the public zone: a provider of dns-lexicon and its options; credentials are a setting of their own."""

    provider: str
    options: dict[str, str] = {}
    # Empty: those that the zone's NS records name.
    nameservers: tuple[Server, ...] = ()


class Settings(_Settings):
    """All of a stack's settings, each key once in every stack file."""

    environment: Environment
    zone: DomainName
    shop_name: DomainName
    admin_name: DomainName
    api_name: DomainName
    dnssec: Annotated[bool, BeforeValidator(lambda text: SWITCH.get(text, text))]
    dns_provider: DnsProviderSettings | None
    dns_provider_credentials: SecretStr
    hosts: tuple[HostSettings, ...] = Field(min_length=1)
    outside: OutsideSettings | None
    paypal_mode: PayPalMode
    paypal_client_id: str
    paypal_client_secret: SecretStr
    paypal_webhook_id: str
    acme_directory_url: HttpsUrl
    acme_email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    settlement_currency: str = Field(pattern=r"^[A-Z]{3}$")
    settlement_rate_per_omr: Decimal
    ssh_private_key_file: str
    sentry_dsn: SecretStr
    ga_id: str
    log_level: Literal["debug", "info", "warn", "error"]
    backup_offsite: OffsiteSettings | None
    backup_offsite_access_key: SecretStr
    backup_offsite_secret_key: SecretStr
    notify: tuple[Channel, ...]
    internal_ca_days: int = Field(gt=0)
    host_certificate_days: int = Field(gt=0)
    host_certificate_renew_days: int = Field(gt=0)
    lab_subnet: Subnet
    lab_https_port: Annotated[Literal["auto"] | Port, BeforeValidator(lambda text: text if text == AUTO else int(text))]
    lab_image: str = Field(pattern=r"^(auto|[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_.-]+)?)$")
    lab_host_memory_mb: int = Field(ge=256)


KEYS = tuple(to_camel(name) for name in Settings.model_fields)
SECRET_KEYS = (
    "dnsProviderCredentials", "paypalClientSecret", "sentryDsn", "backupOffsiteAccessKey", "backupOffsiteSecretKey",
    "notify",
)  # fmt: skip
STRUCTURED = ("dnsProvider", "hosts", "outside", "backupOffsite", "notify")
# Empty: none.
LISTS = ("notify",)
OPTIONAL = ("dnsProvider", "outside", "backupOffsite")
WHOSE = {"backupOffsite": "the second repository", "dnsProvider": "the DNS provider"}


def read(stack: str, config: Mapping[str, str], secret_keys: Collection[str]) -> Settings:
    """The settings of `stack` from its config (keys without the namespace, texts as Pulumi hands them over).

    `secret_keys`: which of them are encrypted. Raises SettingsError with every problem of the first kind that is found:
    unknown and missing keys, then values that are wrong by themselves, then values that contradict each other.
    """
    problems = [*_unknown(config), *_missing(stack, config)]
    if problems:
        raise _error(stack, problems)
    try:
        settings = Settings.model_validate({key: _value(key, text) for key, text in config.items()})
    except ValidationError as error:
        # To pydantic a list is "too short" once a member was refused: the member's error says it better.
        places = [found["loc"] for found in error.errors()]
        outer = {place for place in places if any(other != place and other[: len(place)] == place for other in places)}
        every = [found for found in error.errors() if found["loc"] not in outer]
        raise _error(stack, [_problem(found, config) for found in every]) from None
    problems = rules.problems(stack, settings, secret_keys)
    if problems:
        raise _error(stack, problems)
    return settings


def _value(key: str, text: str) -> Any:
    if key not in STRUCTURED:
        return text
    if text in ("", "null"):
        return () if key in LISTS else None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unknown(config: Mapping[str, str]) -> list[Problem]:
    found = []
    for key in config:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
            hint = f"; did you mean till:{near[0]}?" if near else ""
            # Its value stays unsaid: it may be a secret under a misspelt name.
            found.append(Problem(key, None, f"no such setting{hint}", f"pulumi config rm till:{key}"))
    return found


def _missing(stack: str, config: Mapping[str, str]) -> list[Problem]:
    # Pulumi hands no value over for a key that is null in the stack file.
    return [
        Problem(key, None, "missing", f"pulumi config set till:{key} VALUE -s {stack}")
        for key in KEYS
        if key not in config and key not in OPTIONAL
    ]


def _problem(found: Any, config: Mapping[str, str]) -> Problem:
    key, *inner = found["loc"]
    place = str(key) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inner)
    value: Any = _value(str(key), config.get(str(key), ""))
    for part in inner:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = None
    reason = found["msg"].removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        reason = f"no such setting of {WHOSE.get(str(key), 'a host')}"
    reason, _, following = reason.partition(" Next: ")
    return Problem(place, value, reason, following or f"edit {place} in the stack file")


def _error(stack: str, problems: Collection[Problem]) -> SettingsError:
    lines = [problem.sentence(SECRET_KEYS) for problem in problems]
    where = f"Pulumi.{stack}.yaml"
    if len(lines) == 1:
        return SettingsError(f"{where}: {lines[0]}")
    return SettingsError("\n  ".join([f"{where}: {len(lines)} settings can't be used; nothing was changed.", *lines]))

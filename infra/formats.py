"""What a single setting must look like."""

from __future__ import annotations

import base64
import binascii
import decimal
import ipaddress
import re
import struct
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

AUTO = "auto"
KEYSCAN = "ssh-keyscan -t ed25519 ADDRESS, compare it with the provider's console, set hostKey to `ssh-ed25519 AAAA...`"
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def _check(test: Callable[[str], bool], complaint: str) -> AfterValidator:
    def validate(text: str) -> str:
        if not test(text):
            raise ValueError(complaint)
        return text

    return AfterValidator(validate)


def _check_secret(test: Callable[[str], bool], complaint: str) -> AfterValidator:
    def validate(secret: SecretStr) -> SecretStr:
        if not test(secret.get_secret_value()):
            raise ValueError(complaint)
        return secret

    return AfterValidator(validate)


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _is_host_key(text: str) -> bool:
    parts = text.split()
    if len(parts) != 2 or parts[0] not in KEY_TYPES:
        return False
    try:
        blob = base64.b64decode(parts[1], validate=True)
        (length,) = struct.unpack(">I", blob[:4])
    except (binascii.Error, struct.error):
        return False
    return blob[4 : 4 + length].decode("ascii", "replace") == parts[0] and len(blob) > 4 + length


def _is_subnet(text: str) -> bool:
    try:
        return text == AUTO or ipaddress.IPv4Network(text).prefixlen == 24
    except ValueError:
        return False


def _is_rate(text: str) -> bool:
    try:
        rate = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return False
    return rate.is_finite() and rate > 0


DOMAIN = re.compile(r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$")
CHANNEL = re.compile(r"^[a-z][a-z0-9+.-]*://\S+$")
LABEL = re.compile(r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")

Label = Annotated[str, _check(lambda text: bool(LABEL.match(text)), "not a name of small letters, digits and hyphens")]
DomainName = Annotated[
    str, _check(lambda text: bool(DOMAIN.match(text)), "not a domain name (small letters, no dot at the end)")
]
HostName = Annotated[
    str, _check(lambda text: bool(DOMAIN.match(text) or LABEL.match(text)), "not a host name (no scheme, no port)")
]
Address = Annotated[str, _check(_is_address, "not an IP address")]
Server = Annotated[
    str,
    _check(lambda text: bool(DOMAIN.match(text)) or _is_address(text), "neither a domain name nor an IP address"),
]
Port = Annotated[int, Field(ge=1, le=65535)]
HostKey = Annotated[str, _check(_is_host_key, f"not a public host key. Next: {KEYSCAN}")]
Channel = Annotated[
    SecretStr, _check_secret(lambda text: bool(CHANNEL.match(text)), "not an address like slack://TOKEN/CHANNEL")
]
HttpsUrl = Annotated[str, _check(lambda text: text.startswith("https://"), "not an https:// address")]
Subnet = Annotated[str, _check(_is_subnet, "neither `auto` nor a /24 such as 198.18.7.0/24")]
Decimal = Annotated[str, _check(_is_rate, "not a decimal number above zero")]

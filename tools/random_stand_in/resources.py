"""What each resource takes and gives, as the official provider documents it. Pure but for the randomness."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bcrypt

from .wire import UNKNOWN

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
# bcrypt reads no more; the official provider hashes as many.
BCRYPT_BYTES = 72


class Invalid(Exception):
    """Inputs that the official provider refuses too; `property_name` is the one to blame."""

    def __init__(self, property_name: str, reason: str) -> None:
        super().__init__(reason)
        self.property_name = property_name
        self.reason = reason


@dataclass(frozen=True)
class Kind:
    """A resource. Every input replaces it when changed; `computed` are its outputs, all secret but `public`."""

    defaults: Mapping[str, Any]
    inputs: frozenset[str]
    required: str
    computed: tuple[str, ...]
    public: frozenset[str]
    make: Callable[[Mapping[str, Any]], dict[str, Any]]
    check: Callable[[Mapping[str, Any]], None]
    restore: Callable[[str], dict[str, Any]]
    meta: str | None = None

    @property
    def secret(self) -> frozenset[str]:
        return frozenset(self.computed) - self.public

    def settled(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs with defaults filled in; keepers without their nulls, as comparison ignores those."""
        found = {key: value for key, value in inputs.items() if key in self.inputs and value is not None}
        if isinstance(found.get("keepers"), dict):
            found["keepers"] = {key: value for key, value in found["keepers"].items() if value is not None}
        return {**self.defaults, **found}

    def changed(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
        """The inputs that differ, sorted; a value still unknown differs."""
        before, after = self.settled(old), self.settled(new)
        return sorted(
            key
            for key in before.keys() | after.keys()
            if before.get(key) != after.get(key) or after.get(key) == UNKNOWN
        )


def _whole(inputs: Mapping[str, Any], name: str, least: int) -> None:
    value = inputs.get(name)
    if value == UNKNOWN:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Invalid(name, f"expected a whole number of at least {least}, got {value!r}")


def _classes(inputs: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Character classes in use with the least number of characters from each."""
    special = inputs.get("overrideSpecial") or SPECIAL
    rows = [
        ("lower", string.ascii_lowercase, "minLower"),
        ("upper", string.ascii_uppercase, "minUpper"),
        ("numeric", string.digits, "minNumeric"),
        ("special", special, "minSpecial"),
    ]
    return [(characters, inputs[least]) for switch, characters, least in rows if inputs[switch] or inputs[least]]


def _check_password(inputs: Mapping[str, Any]) -> None:
    _whole(inputs, "length", 1)
    least = [name for name in inputs if name.startswith("min")]
    for name in least:
        _whole(inputs, name, 0)
    if UNKNOWN in inputs.values():
        return
    if inputs["length"] < sum(inputs[name] for name in least):
        raise Invalid("length", "is less than minLower + minUpper + minNumeric + minSpecial")
    if not _classes(inputs):
        raise Invalid("special", "at least one of lower, upper, numeric and special must be true")


def _make_password(inputs: Mapping[str, Any]) -> dict[str, Any]:
    classes = _classes(inputs)
    letters = [secrets.choice(characters) for characters, least in classes for _ in range(least)]
    everything = "".join(characters for characters, _ in classes)
    letters += [secrets.choice(everything) for _ in range(inputs["length"] - len(letters))]
    secrets.SystemRandom().shuffle(letters)
    result = "".join(letters)
    return {"id": "none", "result": result, "bcryptHash": _bcrypt(result)}


def _bcrypt(text: str) -> str:
    return bcrypt.hashpw(text.encode()[:BCRYPT_BYTES], bcrypt.gensalt(10, b"2a")).decode()


def _restore_password(import_id: str) -> dict[str, Any]:
    return {"id": "none", "length": len(import_id), "result": import_id, "bcryptHash": _bcrypt(import_id)}


def _bytes_outputs(content: bytes) -> dict[str, Any]:
    return {"id": "none", "base64": base64.b64encode(content).decode(), "hex": content.hex()}


def _restore_bytes(import_id: str) -> dict[str, Any]:
    content = base64.b64decode(import_id, validate=True)
    return {"length": len(content), **_bytes_outputs(content)}


def _id_outputs(content: bytes, prefix: str) -> dict[str, Any]:
    url = base64.urlsafe_b64encode(content).decode().rstrip("=")
    return {
        "id": url,
        "b64Url": prefix + url,
        "b64Std": prefix + base64.b64encode(content).decode(),
        "hex": prefix + content.hex(),
        "dec": prefix + str(int.from_bytes(content)),
    }


def _restore_id(import_id: str) -> dict[str, Any]:
    prefix, _, url = import_id.rpartition(",")
    content = base64.urlsafe_b64decode(url + "=" * (-len(url) % 4))
    return {"byteLength": len(content), **({"prefix": prefix} if prefix else {}), **_id_outputs(content, prefix)}


_PASSWORD_DEFAULTS = {
    "lower": True, "upper": True, "numeric": True, "number": True, "special": True,
    "minLower": 0, "minUpper": 0, "minNumeric": 0, "minSpecial": 0,
}  # fmt: skip

KINDS = {
    "random:index/randomPassword:RandomPassword": Kind(
        defaults=_PASSWORD_DEFAULTS,
        inputs=frozenset({*_PASSWORD_DEFAULTS, "length", "keepers", "overrideSpecial"}),
        required="length",
        computed=("result", "bcryptHash"),
        public=frozenset(),
        make=_make_password,
        check=_check_password,
        restore=_restore_password,
        # The schema version of this resource in the official provider; it upgrades state without one.
        meta='{"schema_version":"3"}',
    ),
    "random:index/randomBytes:RandomBytes": Kind(
        defaults={},
        inputs=frozenset({"length", "keepers"}),
        required="length",
        computed=("base64", "hex"),
        public=frozenset(),
        make=lambda inputs: _bytes_outputs(secrets.token_bytes(inputs["length"])),
        check=lambda inputs: _whole(inputs, "length", 1),
        restore=_restore_bytes,
    ),
    "random:index/randomId:RandomId": Kind(
        defaults={},
        inputs=frozenset({"byteLength", "prefix", "keepers"}),
        required="byteLength",
        computed=("b64Std", "b64Url", "dec", "hex"),
        public=frozenset({"b64Std", "b64Url", "dec", "hex"}),
        make=lambda inputs: _id_outputs(secrets.token_bytes(inputs["byteLength"]), inputs.get("prefix") or ""),
        check=lambda inputs: _whole(inputs, "byteLength", 1),
        restore=_restore_id,
    ),
}

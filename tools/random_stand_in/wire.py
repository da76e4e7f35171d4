"""Between Pulumi's property structs and Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

# Fixed by Pulumi's wire protocol (sdk/go/common/resource).
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def read(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The struct as a dict: secrets and outputs unwrapped, whole numbers as int, unknowns as UNKNOWN."""
    return {key: _plain(value) for key, value in json_format.MessageToDict(struct).items()}


def write(properties: Mapping[str, Any], secret: Iterable[str] = ()) -> struct_pb2.Struct:
    """The properties as a struct, the named ones wrapped as secrets; None is left out."""
    secret = set(secret)
    struct = struct_pb2.Struct()
    struct.update(
        {
            key: {SIGNATURE: SECRET, "value": value} if key in secret else value
            for key, value in properties.items()
            if value is not None
        }
    )
    return struct


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return _plain(value["value"])
        if value.get(SIGNATURE) == OUTPUT:
            return _plain(value.get("value", UNKNOWN))
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value

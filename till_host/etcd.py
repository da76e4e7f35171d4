"""A few keys in the fleet's etcd, by its JSON gateway and this host's certificate. Raises OSError without a quorum."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from dataclasses import dataclass
from typing import Any

PKI = "/etc/till/pki"
PORT = 2379


@dataclass(frozen=True)
class Key:
    """A key as the majority has it: its text, the revisions of its making and its last change, its lease (0: none)."""

    text: str
    created: int
    changed: int
    lease: int


@dataclass(frozen=True)
class Write:
    """A new value for a key that nobody has written since `revision` (0: that is not there); it goes with its lease."""

    key: str
    value: Any
    revision: int
    lease: int = 0


class Etcd:
    """Reads, compare-and-sets and keys with a lifetime; `addresses`: members, the nearest first.

    Each member is asked for `timeout_s` at most, the one that answered last first. Who found nobody does not ask again
    for `rest_s`. Not for several threads.
    """

    def __init__(self, addresses: list[str], timeout_s: float, rest_s: float = 5.0) -> None:
        self.addresses, self.timeout_s, self.rest_s = list(addresses), timeout_s, rest_s
        self.away_until = 0.0
        self._roads: dict[str, http.client.HTTPSConnection] = {}

    def get(self, key: str) -> tuple[Any, int]:
        """The value (None when there is none) and the revision that `put` wants."""
        found = self._call("kv/range", {"key": _coded(key)}).get("kvs", [])
        if not found:
            return None, 0
        return json.loads(_decoded(found[0]["value"])), int(found[0]["mod_revision"])

    def all(self, prefix: str) -> dict[str, Any]:
        """Every key below a prefix, without it, and its value."""
        return {name: json.loads(key.text) for name, key in self.keys(prefix).items()}

    def keys(self, prefix: str) -> dict[str, Key]:
        """Every key below a prefix, without it."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = self._call("kv/range", {"key": _coded(prefix), "range_end": _coded(end)}).get("kvs", [])
        return {
            _decoded(one["key"]).removeprefix(prefix): Key(
                _decoded(one.get("value", "")), int(one["create_revision"]), int(one["mod_revision"]),
                int(one.get("lease", 0)),
            )
            for one in found
        }  # fmt: skip

    def put(self, key: str, value: Any, revision: int) -> bool:
        """Write if nobody else has since `revision` (0: if there is none yet); whether it was written."""
        return self.write(Write(key, value, revision))

    def write(self, *writes: Write) -> bool:
        """All of them or none; whether they were written."""
        return self._while(
            [_changed(one.key, one.revision) for one in writes],
            [{"request_put": _pair(one.key, one.value, one.lease)} for one in writes],
        )

    def put_for(self, key: str, value: Any, lifetime_s: int) -> None:
        """Write a key that goes by itself after its lifetime."""
        self._call("kv/put", _pair(key, value, self.grant(lifetime_s)))

    def delete(self, key: str) -> None:
        self._call("kv/deleterange", {"key": _coded(key)})

    def delete_while(self, key: str, created: int, other: str, changed: int) -> bool:
        """Delete a key if it is still the one that was made then, and another one is as it was; whether it was so."""
        same = {"key": _coded(key), "target": "CREATE", "result": "EQUAL", "create_revision": str(created)}
        return self._while([same, _changed(other, changed)], [{"request_delete_range": {"key": _coded(key)}}])

    def grant(self, lifetime_s: int) -> int:
        """A lease that ends by itself unless it is kept alive."""
        return int(self._call("lease/grant", {"TTL": lifetime_s})["ID"])

    def keep_alive(self, lease: int) -> bool:
        """Begin the lease's lifetime anew; whether it still lived."""
        # A stream for etcd: one question gets one answer, and faults come with status 200.
        told = self._call("lease/keepalive", {"ID": str(lease)})
        if "result" not in told:
            raise OSError(f"etcd did not renew a lease: {told.get('error')}")
        return int(told["result"].get("TTL", 0)) > 0

    def revoke(self, lease: int) -> None:
        """End a lease, and with it every key that it holds."""
        self._call("lease/revoke", {"ID": str(lease)})

    def _while(self, conditions: list[dict[str, Any]], done: list[dict[str, Any]]) -> bool:
        return bool(self._call("kv/txn", {"compare": conditions, "success": done}).get("succeeded"))

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if time.monotonic() < self.away_until:
            raise OSError("etcd did not answer a moment ago")
        faults = []
        for address in list(self.addresses):
            try:
                told = self._ask(address, path, json.dumps(body))
            except (OSError, ValueError, http.client.HTTPException) as reason:
                faults.append(f"{address}: {type(reason).__name__} {reason}")
                self._roads.pop(address, None)
            else:
                self.addresses.sort(key=lambda one: one != address)
                return told
        self.away_until = time.monotonic() + self.rest_s
        raise OSError(f"etcd does not answer: {'; '.join(faults) or 'no member is known'}")

    def _ask(self, address: str, path: str, body: str) -> dict[str, Any]:
        kept = address in self._roads
        try:
            return self._ask_by(self._road(address), path, body)
        except (ConnectionError, http.client.HTTPException):
            # A member closes a connection that was idle for long, or was started anew.
            self._roads.pop(address, None)
            if not kept:
                raise
            return self._ask_by(self._road(address), path, body)

    def _road(self, address: str) -> http.client.HTTPSConnection:
        if address not in self._roads:
            # Anew for each connection: the certificate may have been renewed.
            trust = ssl.create_default_context(cafile=f"{PKI}/ca.pem")
            trust.load_cert_chain(f"{PKI}/host.pem", f"{PKI}/host.key")
            road = http.client.HTTPSConnection(address, PORT, timeout=self.timeout_s, context=trust)
            self._roads[address] = road
        return self._roads[address]

    def _ask_by(self, road: http.client.HTTPSConnection, path: str, body: str) -> dict[str, Any]:
        road.request("POST", f"/v3/{path}", body)
        answer = road.getresponse()
        told = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise OSError(str(told.get("message") or told.get("error") or answer.status))
        return dict(told)


def _changed(key: str, revision: int) -> dict[str, Any]:
    return {"key": _coded(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}


def _pair(key: str, value: Any, lease: int) -> dict[str, str]:
    return {"key": _coded(key), "value": _coded(json.dumps(value)), "lease": str(lease)}


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")

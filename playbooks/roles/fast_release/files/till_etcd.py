"""The few calls of etcd's v3 JSON gateway that a release needs, each to the first endpoint that answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import urllib3


class StoreAway(Exception):
    """No endpoint answered, or none has a majority behind it."""


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")


class Store:
    """A consensus store by its endpoints (https://address:port); every call is bounded by `timeout_s` for each."""

    def __init__(self, endpoints: list[str], ca: str, certificate: str, key: str, timeout_s: float) -> None:
        self.endpoints, self.timeout_s = endpoints, timeout_s
        self.pool = urllib3.PoolManager(
            cert_reqs="CERT_REQUIRED", ca_certs=ca, cert_file=certificate, key_file=key, retries=False, maxsize=2
        )

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer's document; raises StoreAway. The endpoint that answered is asked first the next time."""
        reasons = []
        for endpoint in list(self.endpoints):
            try:
                answer = self.pool.request(
                    "POST", f"{endpoint}/v3/{path}", body=json.dumps(body), timeout=self.timeout_s
                )
                told: dict[str, Any] = json.loads(answer.data)
            except (urllib3.exceptions.HTTPError, ValueError) as reason:
                reasons.append(f"{endpoint}: {type(reason).__name__}")
            else:
                if answer.status == 200:
                    self.endpoints.sort(key=lambda one: one != endpoint)
                    return told
                reasons.append(f"{endpoint}: {told.get('message') or told.get('error') or answer.status}")
        raise StoreAway("; ".join(reasons))

    def below(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Every key below a prefix, as the majority has it: its name without it -> value, created, changed, lease."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        told = self.call("kv/range", {"key": coded(prefix), "range_end": coded(end)})
        return {
            decoded(one["key"]).removeprefix(prefix): {
                "value": decoded(one.get("value", "")),
                "created": int(one["create_revision"]),
                "changed": int(one["mod_revision"]),
                "lease": int(one.get("lease", 0)),
            }
            for one in told.get("kvs", [])
        }

    def put(self, key: str, value: str, lifetime_s: int) -> None:
        """A key that goes by itself after its lifetime."""
        lease = self.call("lease/grant", {"TTL": lifetime_s})["ID"]
        self.call("kv/put", {"key": coded(key), "value": coded(value), "lease": lease})

    def delete(self, key: str) -> None:
        self.call("kv/deleterange", {"key": coded(key)})

    def delete_while(self, keys: list[str], created: dict[str, int], changed: dict[str, int]) -> bool:
        """Delete keys at once, if others still have these revisions; whether they had."""
        same = [
            {"key": coded(key), "target": "CREATE", "result": "EQUAL", "create_revision": str(revision)}
            for key, revision in created.items()
        ] + [
            {"key": coded(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
            for key, revision in changed.items()
        ]
        gone = [{"request_delete_range": {"key": coded(key)}} for key in keys]
        return bool(self.call("kv/txn", {"compare": same, "success": gone}).get("succeeded"))

    def revoke(self, lease: int) -> None:
        self.call("lease/revoke", {"ID": str(lease)})

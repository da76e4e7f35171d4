"""A few keys in the fleet's etcd, by its JSON gateway and this host's certificate. Raises OSError without a quorum."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.request
from typing import Any

PKI = "/etc/till/pki"
# Who found no quorum does not wait for one again at once.
REST_S = 5.0


class Records:
    """Reads and compare-and-sets; `addresses`: members, the nearest first."""

    def __init__(self, addresses: list[str], timeout_s: float) -> None:
        self.addresses, self.timeout_s = list(addresses), timeout_s
        self.away_until = 0.0

    def get(self, key: str) -> tuple[Any, int]:
        """The value (None when there is none) and the revision that `put` wants."""
        found = self._ask("range", {"key": _coded(key)}).get("kvs", [])
        if not found:
            return None, 0
        return json.loads(base64.b64decode(found[0]["value"])), int(found[0]["mod_revision"])

    def all(self, prefix: str) -> dict[str, Any]:
        """Every key below a prefix, without it, and its value."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = self._ask("range", {"key": _coded(prefix), "range_end": _coded(end)}).get("kvs", [])
        return {
            base64.b64decode(one["key"]).decode().removeprefix(prefix): json.loads(base64.b64decode(one["value"]))
            for one in found
        }

    def put(self, key: str, value: Any, revision: int) -> bool:
        """Write if nobody else has since `revision` (0: if there is none yet); whether it was written."""
        compare = {"key": _coded(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
        write = {"request_put": {"key": _coded(key), "value": _coded(json.dumps(value))}}
        return bool(self._ask("txn", {"compare": [compare], "success": [write]}).get("succeeded"))

    def _ask(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if time.monotonic() < self.away_until:
            raise OSError("etcd did not answer a moment ago")
        trust = ssl.create_default_context(cafile=f"{PKI}/ca.pem")
        trust.load_cert_chain(f"{PKI}/host.pem", f"{PKI}/host.key")
        fault: Exception = OSError("no member of etcd is known")
        for address in list(self.addresses):
            request = urllib.request.Request(f"https://{address}:2379/v3/kv/{verb}", json.dumps(body).encode())
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s, context=trust) as answer:
                    return dict(json.loads(answer.read()))
            except (OSError, ValueError) as reason:
                fault = reason
                # The next question goes to another one first.
                self.addresses = [*self.addresses[1:], self.addresses[0]]
        self.away_until = time.monotonic() + REST_S
        raise OSError(f"etcd does not answer: {type(fault).__name__} {fault}")


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""Keep the zone, and what signs it, in this host's PowerDNS as /etc/till/zone.json says.

    zone read           print {"serial": N, "complete": bool}; N is 0 without a zone
    zone write SERIAL   make the zone, its update key and its signing key so, with that serial

TXT records under _acme-challenge belong to certificate orders under way and are left alone.
Exit codes: 0 done, 1 the nameserver refused or is not there, 2 bad usage.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

WANTED = Path("/etc/till/zone.json")
KEYS = Path("/etc/till/credentials/nameserver.json")
CHALLENGE = "_acme-challenge."
PRIVATE_KEY = "Private-key-format: v1.2\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: {}\n"
START_DEADLINE_S = 15


class Api:
    """PowerDNS's HTTP API on loopback."""

    def __init__(self, url: str, key: str) -> None:
        self.base, self.key = f"{url}/api/v1/servers/localhost", key

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON, None where the thing is not there; raises RuntimeError when refused."""
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self.key, "Content-Type": "application/json"},
        )
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    text = answer.read()
                    return json.loads(text) if text else {}
            except urllib.error.HTTPError as reason:
                if reason.code in (404, 422) and method == "GET":
                    return None
                raise RuntimeError(f"{method} {path}: {reason.code} {reason.read().decode()[:300]}") from None
            except OSError as reason:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"PowerDNS does not answer ({reason}): systemctl status pdns") from None
                time.sleep(0.2)


Sets = dict[tuple[str, str], tuple[int, tuple[str, ...]]]


def wanted_sets(wanted: dict[str, Any]) -> Sets:
    """Wanted record sets by name and type."""
    return {(one["name"], one["type"]): (one["ttl"], tuple(sorted(one["records"]))) for one in wanted["rrsets"]}


def held_sets(zone: dict[str, Any]) -> Sets:
    """Record sets of the zone that are ours to keep."""
    return {
        (one["name"], one["type"]): (one["ttl"], tuple(sorted(record["content"] for record in one["records"])))
        for one in zone["rrsets"]
        if one["type"] != "SOA" and not one["name"].startswith(CHALLENGE)
    }


def soa(wanted: dict[str, Any], serial: int) -> str:
    """Content of the SOA record. Refresh, retry and expire are for secondaries, of which there is none."""
    one = wanted["soa"]
    return f"{one['primary']} {one['contact']} {serial} 3600 600 604800 {one['negative_ttl_s']}"


def soa_content(zone: dict[str, Any]) -> str:
    return str(next(one["records"][0]["content"] for one in zone["rrsets"] if one["type"] == "SOA"))


def signing(api: Api, path: str, keys: dict[str, str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Paths of keys that must not sign the zone, and bodies of those that must and don't yet."""
    body = {"keytype": "csk", "active": True, "published": True, "content": PRIVATE_KEY.format(keys["dnssec_key"])}
    missing = [body] if keys["dnssec_key"] else []
    wrong = []
    for one in api.ask("GET", f"{path}/cryptokeys") or []:
        place = f"{path}/cryptokeys/{one['id']}"
        held = api.ask("GET", place)
        if (
            missing
            and all(held[field] == value for field, value in body.items() if field != "content")
            and (held["privatekey"] == body["content"])
        ):
            missing = []
        else:
            wrong.append(place)
    return wrong, missing


def read(api: Api, wanted: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    zone = api.ask("GET", f"/zones/{wanted['zone']}")
    if zone is None:
        return {"serial": 0, "complete": False}
    content = soa_content(zone)
    serial = int(content.split()[2])
    complete = held_sets(zone) == wanted_sets(wanted) and content == soa(wanted, serial)
    key = api.ask("GET", f"/tsigkeys/{keys['tsig_name']}.")
    metadata = api.ask("GET", f"/zones/{wanted['zone']}/metadata/TSIG-ALLOW-DNSUPDATE")
    complete = complete and key is not None and key["key"] == keys["tsig_secret"]
    complete = complete and metadata is not None and metadata["metadata"] == [keys["tsig_name"]]
    complete = complete and signing(api, f"/zones/{wanted['zone']}", keys) == ([], [])
    return {"serial": serial, "complete": complete}


def write(api: Api, wanted: dict[str, Any], keys: dict[str, str], serial: int) -> None:
    path = f"/zones/{wanted['zone']}"
    zone = api.ask("GET", path)
    if zone is None:
        body = {"name": wanted["zone"], "kind": "Native", "nameservers": [], "soa_edit_api": "OFF", "soa_edit": ""}
        zone = api.ask("POST", "/zones", body)
    goal = wanted_sets(wanted)
    gone = [key for key in held_sets(zone) if key not in goal]
    changes: list[dict[str, Any]] = [{"name": name, "type": kind, "changetype": "DELETE"} for name, kind in gone]
    goal[(wanted["zone"], "SOA")] = (wanted["soa"]["ttl_s"], (soa(wanted, serial),))
    changes += [
        {
            "name": name,
            "type": kind,
            "ttl": ttl,
            "changetype": "REPLACE",
            "records": [{"content": content, "disabled": False} for content in contents],
        }
        for (name, kind), (ttl, contents) in goal.items()
    ]
    api.ask("PATCH", path, {"rrsets": changes})
    key = {"name": keys["tsig_name"], "algorithm": "hmac-sha256", "key": keys["tsig_secret"]}
    if api.ask("GET", f"/tsigkeys/{keys['tsig_name']}.") is None:
        api.ask("POST", "/tsigkeys", key)
    else:
        api.ask("PUT", f"/tsigkeys/{keys['tsig_name']}.", key)
    allowed = {"kind": "TSIG-ALLOW-DNSUPDATE", "metadata": [keys["tsig_name"]]}
    api.ask("PUT", f"{path}/metadata/TSIG-ALLOW-DNSUPDATE", allowed)
    wrong, missing = signing(api, path, keys)
    for body in missing:
        api.ask("POST", f"{path}/cryptokeys", body)
    for place in wrong:
        api.ask("DELETE", place)
    if keys["dnssec_key"]:
        # The order of names that a denial goes by.
        api.ask("PUT", f"{path}/rectify")


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] not in (["read"], ["write"]) or len(arguments) != (1 if arguments[0] == "read" else 2):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        wanted, keys = json.loads(WANTED.read_text()), json.loads(KEYS.read_text())
        api = Api(wanted["api"], keys["api_key"])
        if arguments[0] == "write":
            write(api, wanted, keys, int(arguments[1]))
        print(json.dumps(read(api, wanted, keys)))
    except (RuntimeError, FileNotFoundError) as reason:
        print(f"zone: {reason}", file=sys.stderr)
        return 1
    return 0

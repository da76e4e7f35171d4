"""The copies of the database, as Patroni tells them: who leads since when, who follows and how far behind."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from typing import Any

from infra.contract import Contract, Role
from till.hosts.session import Session

# Patroni's REST API, asked on a member's host: patronictl would take a hundred times the processor time. Without a
# majority of the consensus store Patroni tells what it knew last, so that is asked first.
ASK = """
import json, ssl, sys, urllib.request as web
sys.path.insert(0, "/opt/till-host/current")
from till_host.etcd import Etcd
name, *stores = sys.argv[1:]
try:
    Etcd(stores, 3).get("/till/majority")
except OSError as reason:
    sys.exit(f"the consensus store has no majority: {reason}")
trust = ssl.create_default_context(cafile="/etc/till/pki/ca.pem")
def told(path): return json.load(web.urlopen(f"https://{name}:8008/{path}", timeout=15, context=trust))
print(json.dumps({"cluster": told("cluster"), "history": told("history")}))
"""
BYTES_PER_MB = 2**20


def read_replication_status(session: Session, unreached: Collection[str] = ()) -> dict[str, Any]:
    """`leader`, `since` (when it took over, ISO 8601; None: from the beginning) and `members`, each with name, role,
    state and lag_mb, from the first database host that answers; `fault` where none does."""
    faults: list[str] = []
    hosts = session.contract.hosts
    stores = [host for host in hosts if Role.ETCD in host.roles and host.name not in unreached]
    for host in hosts:
        if Role.DATABASE not in host.roles or host.name in unreached:
            continue
        nearest = [one.address for one in sorted(stores, key=lambda one: one.name != host.name)]
        answer = session.ssh(host.name, shlex.join(["python3", "-c", ASK, host.name, *nearest]))
        if answer.returncode != 0:
            faults.append(f"{host.name}: {answer.stderr.strip()[-200:]}")
            continue
        return read(json.loads(answer.stdout))
    return {"leader": None, "since": None, "members": [], "fault": "; ".join(faults) or "no database host"}


def read(document: dict[str, Any]) -> dict[str, Any]:
    """From Patroni's own documents: `cluster`, and `history` as rows that end with a time and the new leader. Pure."""
    members = document["cluster"]["members"]
    leader = next((one["name"] for one in members if one["role"] == "leader"), None)
    last = document["history"][-1] if document["history"] else []
    return {
        "leader": leader,
        "since": last[3] if len(last) > 4 and last[4] == leader else None,
        "members": [
            {
                "name": one["name"],
                "role": one["role"].replace("_", " ").title(),
                "state": one["state"],
                "lag_mb": _megabytes(one.get("replay_lag")),
            }
            for one in members
        ],
    }


def _megabytes(lag: Any) -> Any:
    return round(lag / BYTES_PER_MB, 1) if isinstance(lag, int) else lag


def behind(contract: Contract, members: list[dict[str, Any]]) -> list[str]:
    """Faults of the copies: who is no member or does not follow, and that nobody is waited for at a commit."""
    copies = [host.name for host in contract.hosts if Role.DATABASE in host.roles]
    names = [one["name"] for one in members]
    faults = [f"the copy on {name} is no member of the cluster" for name in copies if name not in names]
    for one in members:
        runs, follows = one["state"] == "running", one["state"] == "streaming"
        if runs and one["role"] != "Leader":
            faults.append(f"the copy on {one['name']} runs, but follows nobody yet")
        elif not runs and not follows:
            faults.append(f"the copy on {one['name']} is {one['state']}")
    roles = [one["role"] for one in members]
    if len(copies) > 1 and "Leader" in roles and "Sync Standby" not in roles:
        faults.append("no copy is synchronous: payments wait for one")
    return faults

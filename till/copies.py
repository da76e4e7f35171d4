"""The copies of the database, as Patroni tells them: who leads since when, who follows and how far behind."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from infra.contract import Contract, Role
from till.workplace import Workplace

PATRONICTL = "/opt/patroni/bin/patronictl -c /etc/patroni/patroni.yml"


def told(workplace: Workplace, unreached: Collection[str] = ()) -> dict[str, Any]:
    """Members as Patroni tells them, asked from the first database host that answers."""
    faults: list[str] = []
    for host in workplace.contract.hosts:
        if Role.DATABASE not in host.roles or host.name in unreached:
            continue
        answer = workplace.ssh(host.name, f"{PATRONICTL} list -f json")
        if answer.returncode != 0:
            faults.append(f"{host.name}: {answer.stderr.strip()[-200:]}")
            continue
        members = json.loads(answer.stdout)
        leader = next((member["Member"] for member in members if member["Role"] == "Leader"), None)
        return {
            "leader": leader,
            "members": [
                {
                    "name": member["Member"],
                    "role": member["Role"],
                    "state": member["State"],
                    "lag_mb": member.get("Replay Lag"),
                }
                for member in members
            ],
        }
    return {"leader": None, "members": [], "fault": "; ".join(faults) or "no database host"}


def behind(contract: Contract, members: list[dict[str, Any]]) -> list[str]:
    """Faults of the copies: who is no member or does not follow, and that nobody is waited for at a commit."""
    copies = [host.name for host in contract.hosts if Role.DATABASE in host.roles]
    state = {one["name"]: one["state"] for one in members}
    faults = [f"the copy on {name} is no member of the cluster" for name in copies if name not in state]
    faults += [f"the copy on {name} is {told}" for name, told in state.items() if told not in ("running", "streaming")]
    roles = [one["role"] for one in members]
    if len(copies) > 1 and "Leader" in roles and "Sync Standby" not in roles:
        faults.append("no copy is synchronous: payments wait for one")
    return faults


def leads_since(workplace: Workplace, leader: str) -> str | None:
    """When the leader took over (ISO 8601), as Patroni keeps it; None for one that has led from the beginning."""
    answer = workplace.ssh(leader, f"{PATRONICTL} history -f json")
    told = json.loads(answer.stdout) if answer.returncode == 0 and answer.stdout.strip() else []
    return str(told[-1]["Timestamp"]) if told and told[-1].get("New Leader") == leader else None

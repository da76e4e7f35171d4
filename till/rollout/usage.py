"""What the slots of a new release take of their hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.contract import Host
from till import host_program, probe
from till.errors import GateSaidNo

if TYPE_CHECKING:
    from till.rollout.walk import Walk

TIMEOUT_S = 30


def gate(walk: Walk, phase: str) -> None:
    """Memory and restarts of the new release's slots; raises GateSaidNo above policy."""
    policy, again = walk.policy, f"till status {walk.workplace.contract.stack}"

    def one(host: Host) -> dict[str, Any]:
        slot = walk.intents[host.name].new_slot
        told: dict[str, Any] = host_program.ask(
            walk.workplace, host.name, "slot-probe", "usage", slot, timeout_s=TIMEOUT_S, next_command=again
        )
        return told

    faults, shares = [], {}
    for host, told in probe.at_once(one, walk.edges.hosts).items():
        if told["memory_bytes"] is not None and told["memory_max_bytes"]:
            shares[host] = told["memory_bytes"] / told["memory_max_bytes"]
            if shares[host] > policy["memory_ratio_max"]:
                faults.append(
                    f"it takes {shares[host]:.0%} of its memory on {host}, {policy['memory_ratio_max']:.0%} are allowed"
                )
        if (told["restarts"] or 0) > policy["restarts_max"]:
            faults.append(f"it ended by itself {told['restarts']} times on {host}")
    most = f"at most {max(shares.values()):.0%} of its memory" if shares else "its memory is not known here"
    walk.gate(
        phase, "usage", "fail" if faults else "pass", "; ".join(faults) or f"it takes {most} and was never started anew"
    )
    if faults:
        raise GateSaidNo(f"{walk.manifest.version}: {'; '.join(faults)}")

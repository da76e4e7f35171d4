"""What the slots of a new release take of their hosts."""

from __future__ import annotations

from typing import Any

from infra.contract import Host
from till.errors import GateSaidNo
from till.fan_out import at_once
from till.hosts import programs
from till.rollout.rollout import Rollout

TIMEOUT_S = 30


def gate(rollout: Rollout, phase: str) -> None:
    """Memory and restarts of the new release's slots; raises GateSaidNo above policy."""
    policy, again = rollout.policy, f"till status {rollout.session.contract.stack}"

    def one(host: Host) -> dict[str, Any]:
        slot = rollout.intents[host.name].new_slot
        told: dict[str, Any] = programs.run_host_program(
            rollout.session, host.name, "slot-probe", "usage", slot, timeout_s=TIMEOUT_S, next_command=again
        )
        return told

    faults, shares = [], {}
    for host, told in at_once(one, rollout.edges.hosts).items():
        if told["memory_bytes"] is not None and told["memory_max_bytes"]:
            shares[host] = told["memory_bytes"] / told["memory_max_bytes"]
            if shares[host] > policy["memory_ratio_max"]:
                faults.append(
                    f"it takes {shares[host]:.0%} of its memory on {host}, {policy['memory_ratio_max']:.0%} are allowed"
                )
        if (told["restarts"] or 0) > policy["restarts_max"]:
            faults.append(f"it ended by itself {told['restarts']} times on {host}")
    most = f"at most {max(shares.values()):.0%} of its memory" if shares else "its memory is not known here"
    rollout.gate(
        phase, "usage", "fail" if faults else "pass", "; ".join(faults) or f"it takes {most} and was never started anew"
    )
    if faults:
        raise GateSaidNo(f"{rollout.manifest.version}: {'; '.join(faults)}")


def cpu(rollout: Rollout, phase: str, asked: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Processor time for each request, beside the old release; raises GateSaidNo above policy.

    The old one is warm and the new one is not, so it may take some times as much; below the floor nothing is said.
    """
    policy = rollout.policy
    took_ms = {side: _per_request_ms([one[side] for one in asked.values() if side in one]) for side in ("old", "new")}
    old_ms, new_ms = took_ms["old"], took_ms["new"]
    if old_ms is None or new_ms is None:
        rollout.gate(phase, "cpu", "skipped", "what the slots took is not known here")
        return
    told = f"{new_ms:.1f} ms of a core for each request, {old_ms:.1f} ms on {rollout.record.old_version or 'nothing'}"
    bad = new_ms > max(policy["cpu_floor_ms"], policy["cpu_ratio_max"] * old_ms)
    sentence = f"{told}: more than {policy['cpu_ratio_max']} times as much" if bad else told
    rollout.gate(phase, "cpu", "fail" if bad else "pass", sentence)
    if bad:
        raise GateSaidNo(f"{rollout.manifest.version} past the edge: {sentence}")


def _per_request_ms(found: list[dict[str, Any]]) -> float | None:
    """None where a slot doesn't tell."""
    requests: int = sum(one["requests"] for one in found)
    if not requests or any(one["cpu_s"] is None for one in found):
        return None
    took_s: float = sum(one["cpu_s"] for one in found)
    return took_s / requests * 1000

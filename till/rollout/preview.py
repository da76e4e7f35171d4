"""A release is tried before anybody meets it: asked past the edge beside the old one, and bought from by its token."""

from __future__ import annotations

from typing import Any

from infra.contract import Host
from till.checks import purchase
from till.errors import GateSaidNo
from till.fan_out import at_once
from till.hosts import programs
from till.policy import thresholds
from till.releases import release
from till.rollout import ledger_gate, usage_gate
from till.rollout.rollout import Rollout
from till_host.judging import judge
from till_host.judging.counts import NOTHING, Counts

PHASE = "preview"
# By host and side ("new", "old") what the slot answered.
Asked = dict[str, dict[str, dict[str, Any]]]


def run(rollout: Rollout) -> dict[str, Any]:
    """Every gate of the preview; raises GateSaidNo with the first no. Returns the purchase, if one was made."""
    asked = _asked(rollout)
    for _ in range(rollout.policy["preview"]["looks"] - 1):
        if not (doubt := _doubt(rollout, asked)):
            break
        rollout.progress.say(f"{doubt}: asked again")
        asked = _asked(rollout)
    _judge(rollout, asked, "errors", "bad")
    _judge(rollout, asked, "slow", "slow")
    usage_gate.cpu(rollout, PHASE, asked)
    usage_gate.gate(rollout, PHASE)
    if rollout.manifest.smoke != "purchase":
        return {}
    contract = rollout.session.contract
    cookies = {one.cookie for one in rollout.intents.values()}
    # Another release could be in it that the edge of a site would not know.
    cookie = cookies.pop() if len(cookies) == 1 else ""
    if not cookie:
        rollout.gate(
            PHASE,
            "smoke",
            "skipped",
            "hosts have different configurations of the release: bought from after the switch",
        )
        return {}
    bought = purchase.run(contract, rollout.progress, until_approval=not purchase.approves(contract), cookie=cookie)
    if bought["version"] != rollout.manifest.version:
        raise GateSaidNo(
            f"the purchase should have been made on {rollout.manifest.version}, but {bought['version']} answered"
        )
    rollout.gate(
        PHASE,
        "smoke",
        "pass",
        f"order {bought.get('order_id', '')} was bought from {bought['version']} before any customer met it",
    )
    ledger_gate.gate(rollout, PHASE)
    return bought


def _asked(rollout: Rollout) -> Asked:
    """Both sides asked, in turn."""
    policy = rollout.policy["preview"]
    limit_s = thresholds()["judge"]["measures"]["slow"]["limit_ms"] / 1000
    words = [str(policy[name]) for name in ("requests", "warm_up", "concurrency", "timeout_s")]

    def one(host: Host) -> dict[str, dict[str, Any]]:
        intent = rollout.intents[host.name]
        sides = {"new": intent.new_slot, **({"old": intent.old_slot} if intent.old_slot else {})}
        found = programs.run_host_program(
            rollout.session, host.name, "slot-probe", "ask", *words, str(limit_s), ",".join(sides.values()),
            *_paths(rollout.manifest), timeout_s=policy["deadline_s"],
            next_command=f"till status {rollout.session.contract.stack}",
        )  # fmt: skip
        return {side: found[slot] for side, slot in sides.items()}

    return at_once(one, rollout.edges.hosts)


def _paths(manifest: release.Manifest) -> list[str]:
    return list(dict.fromkeys(filter(None, (manifest.version_path, manifest.health_path, *manifest.probe_paths))))


def _sum(asked: Asked, side: str, bad: str) -> Counts:
    told = [found[side] for found in asked.values() if side in found]
    return sum((Counts(one["requests"], one[bad]) for one in told), NOTHING)


def _said(rollout: Rollout, asked: Asked, measure: str, bad: str) -> tuple[judge.Judgement, bool]:
    """The judge's word, and whether more requests failed than the bound allows, also where it can't tell yet."""
    rule = judge.rules(thresholds()["judge"])[measure]
    old, new = _sum(asked, "old", bad), _sum(asked, "new", bad)
    _, said = judge.look(judge.begin(rule), old, new, rule, rollout.record.old_version or "nothing")
    # A request that fails has a reason of its own, few as they are; a slow one may have met a busy host.
    return said, measure == "errors" and new.bad_ratio > rule.bound >= old.bad_ratio


def _doubt(rollout: Rollout, asked: Asked) -> str:
    """What may be no fault of the release, "" where there is nothing to doubt."""
    said, some = _said(rollout, asked, "errors", "bad")
    if said.verdict == "fail":
        return ""
    if some:
        # One slow answer of what it leans on is a 503 for a second; and they are too few to be sure.
        return "a few requests failed"
    said, _ = _said(rollout, asked, "slow", "slow")
    new = [found["new"] for found in asked.values()]
    if said.verdict == "fail" and all(one["slow"] < one["requests"] / 2 for one in new):
        # Beside one that is warm, what has just begun on a busy host compiles its code until it was asked often.
        return "some requests were slow"
    return ""


def _judge(rollout: Rollout, asked: Asked, measure: str, bad: str) -> None:
    said, some = _said(rollout, asked, measure, bad)
    rollout.gate(PHASE, measure, said.verdict, said.sentence)
    if said.verdict == "fail" or some:
        faults = "; ".join(fault for found in asked.values() for fault in found["new"]["faults"])
        raise GateSaidNo(f"{rollout.manifest.version} past the edge: {said.sentence}{f' ({faults})' if faults else ''}")

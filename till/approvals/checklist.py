"""The guide's checklist before a deploy: which items are wanted, which hold, what refuses. Pure: facts are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from till.approvals import signoff
from till.approvals.checks import CHECKS, Unread
from till.errors import Refused, UsageError
from till.policy import host_policy, loaded, thresholds
from till.verdict import Verdict

FILE = Path(__file__).parent.parent / "checklist.yml"


@cache
def policy() -> dict[str, Any]:
    """checklist.yml: checks, sections of items, and which of them are wanted where."""
    return loaded(FILE)


def items() -> list[dict[str, Any]]:
    """Every item in the guide's order: item, section, says, and checked_by or signed_by."""
    return [{"section": one["section"], **item} for one in policy()["sections"] for item in one["items"]]


def settling() -> set[str]:
    """Items that get well by themselves within a minute, so that a deploy waits for them."""
    return {one["item"] for one in items() if policy()["checks"].get(one.get("checked_by"), {}).get("settles")}


def refuse_unsigned(stack: str, version: str, role: str, item: str) -> None:
    """Raises UsageError for an item that there is none of, or that this role does not sign; "" is all of the role's."""
    signed = {one["item"]: one["signed_by"] for one in items() if "signed_by" in one}
    if item and signed.get(item) != role:
        theirs = [name for name, by in signed.items() if by == role]
        other = f"{role} does not sign, {signed[item]} does" if item in signed else "nobody signs"
        raise UsageError(
            f"{item!r} is an item that {other}",
            f"till signoff {stack} {version} --role {role}{f' --item {chr(124).join(theirs)}' if theirs else ''}",
        )


def wanted(item: dict[str, Any], environment: str) -> bool:
    if "checked_by" in item:
        return environment in policy()["checks"][item["checked_by"]]["environments"]
    return environment in policy()["signed_in"]


def limits() -> dict[str, Any]:
    """What checks compare with; a number that is somebody else's comes from its own home."""
    drill = thresholds()["drill_restore"]
    return {
        **thresholds()["checklist"],
        "backup_age_max_s": drill["rpo_max_s"],
        "rpo_s": drill["rpo_max_s"],
        "rto_s": drill["rto_max_s"],
        "drill_age_max_h": host_policy()["policy_drill_max_age_h"]["here"]["restore"],
    }


def judge(environment: str, facts: dict[str, Any], signoffs: signoff.Record, now: datetime) -> list[Verdict]:
    """A verdict for each item that is wanted in an environment, named as the item. A fact that is missing fails."""
    return [
        replace(_verdict(item, facts, signoffs, now), gate=item["item"])
        for item in items()
        if wanted(item, environment)
    ]


def _verdict(item: dict[str, Any], facts: dict[str, Any], signoffs: signoff.Record, now: datetime) -> Verdict:
    if "signed_by" in item:
        return signoff.verdict(signoffs, item["signed_by"], item["item"], thresholds()["signoff"], now)
    name = item["checked_by"]
    fact = facts.get(name, Unread("nobody looked"))
    if isinstance(fact, Unread):
        return Verdict(name, False, f"not known: {fact.reason}")
    return CHECKS[name](fact, limits(), now)


def overridden(verdicts: list[Verdict], override: str) -> dict[str, Any]:
    """What a journal entry says of an --override: its reason and the items that it lifted; {} where it lifted none."""
    lifted = [one.gate for one in verdicts if not one.passed]
    return {"override": override, "overridden": lifted} if override and lifted else {}


def refusal(stack: str, version: str, verdicts: list[Verdict], override: str = "") -> Refused | None:
    """What to raise: every missing item, and the commands that mend it. None where nothing is, or --override lifts all.

    What policy marks as hard is lifted by no override.
    """
    by_name = {item["item"]: item for item in items()}
    missing = [(one, by_name[one.gate]) for one in verdicts if not one.passed]
    stopping = [(one, item) for one, item in missing if not (override and _liftable(item))]
    if not stopping:
        return None
    told = "\n".join(f"  {item['section']}: {item['says']}: {one.sentence}" for one, item in stopping)
    hard = " (no --override lifts these)" if override else ""
    following = list(dict.fromkeys(_next(item, stack, version) for _, item in stopping))
    facts = {"verdict": "refused", "missing": [one.gate for one, _ in stopping]}
    return Refused(
        f"{len(stopping)} of {len(verdicts)} items are missing for {version} on {stack}{hard}:\n{told}",
        "\n        ".join([*following, f"till checklist {stack} {version}"]),
        facts,
    )


def _liftable(item: dict[str, Any]) -> bool:
    if "signed_by" in item:
        return bool(policy()["override_signed"])
    return not policy()["checks"][item["checked_by"]]["hard"]


def _next(item: dict[str, Any], stack: str, version: str) -> str:
    if "signed_by" in item:
        # Without an item, all that the role signs is signed by one command.
        return f"till signoff {stack} {version} --role {item['signed_by']}"
    following = str(policy()["checks"][item["checked_by"]]["next"])
    return following.format(stack=stack, version=version, staging=thresholds()["checklist"]["staging_stack"])


def rows(environment: str, verdicts: list[Verdict]) -> Iterator[dict[str, Any]]:
    """Every item of the guide for a table: section, item, says, by, wanted, passed, sentence."""
    found = {one.gate: one for one in verdicts}
    for item in items():
        verdict = found.get(item["item"])
        yield {
            "section": item["section"],
            "item": item["item"],
            "says": item["says"],
            "by": item.get("checked_by") or item["signed_by"],
            "signed": "signed_by" in item,
            "wanted": verdict is not None,
            "passed": verdict.passed if verdict else None,
            "sentence": verdict.sentence if verdict else f"not wanted in {environment}",
        }

"""Sign-offs of a release: entries of the journal, bound to what is signed; which hold now is read from them. Pure.

The rules are policy's (thresholds.yml, signoff).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from till.errors import Refused, UsageError
from till.releases.release import Manifest
from till.verdict import Verdict

VERB = "signoff"
BUILD = "release build"
# Of a manifest, what a host is told to run, and what that does to the database. The rest (when, how large, whether
# tested) may differ between two builds of one: tests are evidence, which the checklist asks for by itself, and a later
# run voids nobody's word.
SIGNED_FIELDS = (
    "name", "version", "sha256", "start", "health_path", "version_path", "runtime", "smoke", "migrations",
    "runs_beside",
)  # fmt: skip
# Signed where a release has them, so that words of before they were known still hold for one without.
SIGNED_WHERE_SET = ("migrate", "assets_path")
SHOWN_DIGEST = 12


@dataclass(frozen=True)
class Record:
    """What the journal says of a release: the digest to be signed, who built it, its sign-offs, oldest first."""

    stack: str
    version: str
    digest: str
    builders: frozenset[str]
    entries: tuple[dict[str, Any], ...]


def digest(manifest: Manifest, settings_text: str, plan_text: str) -> str:
    """What a sign-off is bound to (SHA-256): the artefact and how it starts, the stack's settings, the plan."""
    signed = {field: getattr(manifest, field) for field in SIGNED_FIELDS}
    signed |= {field: value for field in SIGNED_WHERE_SET if (value := getattr(manifest, field))}
    told = json.dumps([signed, settings_text, plan_text], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def record(entries: list[dict[str, Any]], stack: str, manifest: Manifest, signed_digest: str) -> Record:
    """Read the journal's entries (all of them, verified)."""
    built = [entry for entry in entries if entry["verb"] == BUILD and entry["ok"]]
    return Record(
        stack=stack,
        version=manifest.version,
        digest=signed_digest,
        builders=frozenset(_account(entry) for entry in built if entry.get("sha256") == manifest.sha256),
        entries=tuple(e for e in entries if e["verb"] == VERB and e.get("version") == manifest.version),
    )


def verdict(found: Record, role: str, item: str, rules: dict[str, Any], now: datetime) -> Verdict:
    """Whether a role's sign-off of an item holds: its last word counts, for this digest alone, until it expires."""
    gate, title = f"signoff {role}", rules["roles"][role]["title"]
    words = [one for one in found.entries if one["role"] == role and one["item"] in ("", item)]
    if not words:
        return Verdict(gate, False, f"{title} has not signed")
    last = words[-1]
    at, who = datetime.fromisoformat(last["at"]), _person(last, rules)
    ends = at + timedelta(hours=rules["expires_h"])
    if last["revoked"]:
        return Verdict(gate, False, f"{who} took it back {at:%Y-%m-%d %H:%MZ}: {last['why'] or 'no reason was given'}")
    if last["digest"] != found.digest:
        other, ours = last["digest"][:SHOWN_DIGEST], found.digest[:SHOWN_DIGEST]
        return Verdict(
            gate,
            False,
            f"{who} signed another artefact, configuration or plan ({other}, now {ours})",
        )
    if not at <= now < ends:
        told = "expired" if now >= ends else "is dated in the future:"
        return Verdict(gate, False, f"the sign-off of {who} {told} {(ends if now >= ends else at):%Y-%m-%d %H:%MZ}")
    if reason := _unfit(found, role, last, rules):
        return Verdict(gate, False, reason)
    return Verdict(gate, True, f"{who} signed as {title}; it holds until {ends:%Y-%m-%d %H:%MZ}")


def entry(
    found: Record, role: str, item: str, by: str, signed_by: str, rules: dict[str, Any], revoke: bool = False,
    why: str = "",
) -> dict[str, Any]:  # fmt: skip
    """The facts of a new entry of the journal. `by` is the account that signs, `signed_by` the name it gives.

    Raises UsageError for an unknown role and where nothing is to be revoked, Refused for somebody who may not sign.
    """
    if role not in rules["roles"]:
        raise UsageError(
            f"{role!r} is no role that signs; there are {', '.join(rules['roles'])}",
            f"till signoff {found.stack} {found.version} --role {'|'.join(rules['roles'])}",
        )
    facts = {
        "version": found.version, "role": role, "item": item, "digest": found.digest, "signed_by": signed_by,
        "revoked": revoke, "why": why,
    }  # fmt: skip
    standing = [one for one in found.entries if one["role"] == role and one["item"] in ("", item)][-1:]
    if revoke and not (standing and not standing[0]["revoked"]):
        raise UsageError(
            f"{role} has no sign-off of {found.version} that could be revoked",
            f"till checklist {found.stack} {found.version}",
        )
    # Whoever sees a fault may stop a release: revoking asks for nobody in particular.
    if not revoke and (reason := _unfit(found, role, facts | {"by": by}, rules)):
        raise Refused(
            f"{found.version} of {found.stack}: {reason}",
            f"somebody else, with an account of their own: till signoff {found.stack} {found.version} --role {role}",
        )
    return facts


def _unfit(found: Record, role: str, word: dict[str, Any], rules: dict[str, Any]) -> str:
    """Empty where that person may sign as the role, else why not."""
    policy, who = rules["roles"][role], _person(word, rules)
    if policy["people"] and who not in [one.casefold() for one in policy["people"]]:
        return f"{who} is not one of those who sign as {policy['title']} ({', '.join(policy['people'])})"
    if not policy["independent"]:
        return ""
    if not found.builders:
        return f"nobody is known to have built it, and {policy['title']} has to be another person"
    # A name that is the builder's is the builder's, whatever the account.
    if same := found.builders & {who, word["signed_by"].casefold()}:
        return f"{min(same)} built it, and {policy['title']} has to be another person"
    return ""


def _account(told: dict[str, Any]) -> str:
    # Whoever works on two machines is one person.
    return str(told["by"]).rsplit("@", 1)[0].casefold()


def _person(told: dict[str, Any], rules: dict[str, Any]) -> str:
    """Who signed, as far as policy believes it."""
    named = str(told["signed_by"]).casefold()
    return named if named and rules["person"] == "name" else _account(told)

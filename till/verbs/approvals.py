"""Contents page of what stands before a deploy and of what is kept of it: signoff, checklist, history."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.contract import Contract
from till.approvals import checklist, facts, signoff
from till.approvals import document as signoff_document
from till.changes import history, journal, journal_head
from till.errors import TillError
from till.hosts.session import Session, open_session
from till.paths import journal_file
from till.policy import thresholds
from till.progress import Progress
from till.records import deploy_record
from till.releases import release
from till.releases.release import Manifest
from till.rollout import plan, release_watch
from till.stacks import stack
from till.verdict import Verdict

SETTLE_STEP_S = 3.0


def record(name: str, manifest: Manifest, plan_text: str) -> signoff.Record:
    """The sign-offs of a release on a stack, for this artefact, the stack's settings as they are, and a plan."""
    return signoff.record(facts.entries(name), name, manifest, facts.digest(name, manifest, plan_text))


def judge_checklist(session: Session, manifest: Manifest, plan_text: str) -> list[Verdict]:
    """A verdict for each item of the checklist that is wanted on this stack, now."""
    contract = session.contract
    found = record(contract.stack, manifest, plan_text)
    return checklist.judge(contract.environment, facts.read(session, manifest), found, datetime.now(UTC))


def refuse_unready(
    session: Session, manifest: Manifest, plan_text: str, override: str, progress: Progress
) -> dict[str, Any]:
    """Raises Refused where the checklist forbids a deploy. Returns what its journal entry says of an override."""
    stack_name, verdicts = session.contract.stack, _settled(session, manifest, plan_text, progress)
    if refused := checklist.refusal(stack_name, manifest.version, verdicts, override):
        raise refused
    lifted = checklist.overridden(verdicts, override)
    for item in lifted.get("overridden", []):
        progress.say(f"warning: {item} is missing, lifted by --override: {override}")
    return lifted


def _settled(session: Session, manifest: Manifest, plan_text: str, progress: Progress) -> list[Verdict]:
    """The verdicts, once what gets well by itself had the time to: a copy joins again after its host was away."""
    deadline = time.monotonic() + thresholds()["checklist"]["settle_s"]
    while True:
        verdicts = judge_checklist(session, manifest, plan_text)
        missing = {one.gate: one.sentence for one in verdicts if not one.passed}
        if not missing or not set(missing) <= checklist.settling() or time.monotonic() > deadline:
            return verdicts
        progress.say(f"waiting: {'; '.join(missing.values())}")
        time.sleep(SETTLE_STEP_S)


def format_plan(strategy: str) -> str:
    """The plan that a deploy would follow, as text; part of what is signed. "" is policy's strategy."""
    policy = thresholds()["rollout"]
    return plan.text(plan.steps(strategy or policy["strategy"], policy))


def sign(
    name: str, version: str, strategy: str, role: str, item: str, signed_by: str, revoke: bool, why: str,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Sign a release off, or take that back. Returns version, role, item, digest and by whom."""
    manifest = release.load(stack.contract(name), version)
    checklist.refuse_unsigned(name, version, role, item)
    rules, found = thresholds()["signoff"], record(name, manifest, format_plan(strategy))
    told = signoff.entry(found, role, item, journal.account(), signed_by, rules, revoke, why)
    written = journal.append(journal_file(name), signoff.VERB, True, told)
    progress.say(_kept(name))
    return {**told, "by": written["by"], "expires_h": rules["expires_h"]}


def _kept(name: str) -> str:
    """Keep the head of the journal on the stack where that can be done: who signs may not have the stack's secrets."""
    try:
        with open_session(stack.contract(name)) as session:
            reason = journal_head.push(session)
    except TillError as unread:
        reason = f"the journal's head is not kept on the stack: {unread.message.splitlines()[0]}"
    return f"warning: {reason}" if reason else "the journal's head is kept on the stack"


def read_checklist(name: str, version: str, strategy: str, document: bool, progress: Progress) -> dict[str, Any]:
    """The checklist of a release as it stands; ok where a deploy would not be refused.

    With `document` the guide's sign-off document is written, and `document` in the answer is its path.
    """
    contract = stack.contract(name)
    manifest = release.load(contract, version)
    with open_session(contract) as session:
        verdicts = judge_checklist(session, manifest, format_plan(strategy))
    refused = checklist.refusal(name, version, verdicts)
    items = list(checklist.rows(contract.environment, verdicts))
    if document:
        # What the fleet itself took back since counts, too.
        _fetch(name, progress)
    return {
        "ok": refused is None,
        "version": version,
        "items": items,
        "next": refused.next_command.splitlines() if refused else [f"till deploy {name} {version}"],
        **({"document": str(_documented(contract, manifest, format_plan(strategy), items))} if document else {}),
    }


def _documented(contract: Contract, manifest: Manifest, plan_text: str, items: list[dict[str, Any]]) -> Path:
    now, rules = datetime.now(UTC), thresholds()["signoff"]
    found = record(contract.stack, manifest, plan_text)

    def word(role: str, title: str) -> Verdict:
        wanted = [one for one in items if one["signed"] and one["wanted"] and one["by"] == role]
        return signoff_document.judged(title, signoff.verdict(found, role, "", rules, now), wanted)

    last, back = signoff_document.records(deploy_record.every(contract.stack), manifest.version, manifest.sha256)
    known = signoff_document.Known(
        stack=contract.stack,
        environment=contract.environment,
        version=manifest.version,
        sha256=manifest.sha256,
        digest=found.digest,
        items=tuple(items),
        roles=tuple((one["title"], word(role, one["title"])) for role, one in rules["roles"].items()),
        record=last,
        taken_back=back,
    )
    return signoff_document.write(known, now)


def _fetch(name: str, progress: Progress) -> None:
    """What the watch of releases did since; a stack that can't be asked still has its journal."""
    try:
        with open_session(stack.contract(name)) as session:
            release_watch.collect(session, progress)
    except TillError as reason:
        progress.say(f"warning: what the watch of releases did is not known: {reason.message.splitlines()[0]}")


def read_history(name: str, limit: int, verify: bool, progress: Progress | None = None) -> dict[str, Any]:
    """The changes of a stack; with `verify` TillError names the first entry that is not as it was written."""
    path = journal_file(stack.known(name))
    _fetch(name, progress or Progress(quiet=True))
    if not verify:
        return {"changes": history.rows(journal.read(path), limit)}
    entries = facts.entries(name)
    try:
        with open_session(stack.contract(name)) as session:
            kept, others = journal_head.read(session)
    except TillError as reason:
        reason.message = f"all {len(entries)} entries are chained, but their head was not read: {reason.message}"
        raise
    compared = journal_head.compare(entries, kept)
    found = {"head": compared.state, "sentence": compared.sentence, "other_journals": others}
    if not compared.holds:
        raise TillError(f"journal {path}: {compared.sentence}", "less docs/runbooks/history.md", found)
    return {"changes": history.rows(entries, limit), "entries": len(entries), **found}

"""What a deploy or rollback leaves for people: its page, and a post-mortem where a release was taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.contract import Contract
from till.errors import TillError, error_of
from till.records import deploy_page, deploy_record, post_mortem
from till.records.deploy_record import Record, Verdict
from till.releases import diff, release


def after(
    contract: Contract, record: Record, work: Callable[[], None], more: Callable[[], dict[str, Any]] = dict
) -> dict[str, Any]:
    """Do the work that the record is of, end the record however that ends; returns what the verb tells, `more` too.

    What the work raises goes on; a TillError has the same as its facts.
    """
    try:
        work()
    except BaseException as reason:
        verdict = record.verdict if record.verdict == "insufficient" else "fail"
        papers = close_record(contract, record, verdict, error_of(reason, "interrupted").message)
        if isinstance(reason, TillError):
            reason.facts |= {**deploy_record.facts(record), **more(), **papers}
        raise
    # The facts are those of the record's end.
    papers = close_record(contract, record, "pass")
    return {**deploy_record.facts(record), **more(), **papers}


def close_record(
    contract: Contract, record: Record, verdict: Verdict, reason: str = "", duration_s: float | None = None
) -> dict[str, str]:
    """End the record (after so long; None: now) and write the papers; their paths by what they are."""
    deploy_record.finish(record, verdict, reason, duration_s)
    told = {"record": record.name, "report": str(deploy_page.write(record, _difference(contract, record)))}
    met = any(one.percent for one in record.steps)
    if (record.kind == "rollback" or verdict != "pass") and met:
        told["post_mortem"] = str(post_mortem.write(record))
    return told


def _difference(contract: Contract, record: Record) -> diff.Difference | None:
    """None where one of the releases was not built here."""
    if not record.old_version or not release.is_built(contract.stack, record.old_version):
        return None
    try:
        return diff.between(contract, record.old_version, record.new_version)
    except TillError:
        return None

"""The record of one deploy or rollback: what was planned, what was seen, how it ended. Journal, history and page
are made from it.

Kept as JSON in `.till/deploys/STACK/NAME.json` and replaced whole at each phase, so a till that was killed leaves what
it knew, with the verdict `unfinished`. It holds no secret: callers redact.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from till.errors import TillError, UsageError
from till.paths import deploys_dir
from till.policy import thresholds
from till.records.deploy_traffic import Sample, thinned

Verdict = Literal["pass", "fail", "insufficient", "unfinished"]
GateVerdict = Literal["pass", "fail", "insufficient", "skipped"]
NAME = re.compile(r"(deploy|rollback)-(\d{8}T\d{6})-[0-9A-Za-z][0-9A-Za-z.+-]*")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class PlanStep(Frozen):
    """A share of the traffic that the new version is to have, and for how long."""

    percent: float
    hold_s: float = 0.0


class Step(Frozen):
    """The new version had this share of the traffic from here on."""

    at_s: float
    percent: float


class Gate(Frozen):
    """What a gate said, and in which phase."""

    at_s: float
    phase: str
    gate: str
    verdict: GateVerdict
    sentence: str = ""


class Record(BaseModel):
    """Times `at_s` are seconds since `at` (s since the epoch); percent is the new version's share of the traffic.

    All but who, what and when has a default: a record of another version of Till can be read.
    """

    model_config = ConfigDict(validate_assignment=True)
    name: str = Field(pattern=f"^{NAME.pattern}$", frozen=True)
    stack: str = Field(frozen=True)
    kind: Literal["deploy", "rollback"] = Field(frozen=True)
    by: str = Field(frozen=True)
    at: float = Field(frozen=True)
    strategy: Literal["blue-green", "rolling", "canary"] = "blue-green"
    old_version: str | None = None
    new_version: str
    old_sha256: str = ""
    new_sha256: str = ""
    source_commit: str = ""
    override: str = ""
    plan: list[PlanStep] = []
    steps: list[Step] = []
    gates: list[Gate] = []
    traffic: list[Sample] = []
    phases: dict[str, float] = {}
    switch_s: float | None = None
    rollback_s: float | None = None
    failed_requests: int | None = None
    duration_s: float | None = None
    verdict: Verdict = "unfinished"
    reason: str = ""

    def elapsed_s(self) -> float:
        """Seconds since it began, for the next `at_s`."""
        return round(max(0.0, time.time() - self.at), 3)


def begin(stack: str, kind: str, by: str, new_version: str, **known: Any) -> Record:
    """A new record, written; `known` is any other field of it, `at` is now by default. Old records make room."""
    at = float(known.pop("at", time.time()))
    first = f"{kind}-{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%S}-{new_version}"
    deploys_dir(stack).mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        name = first if number == 1 else f"{first}.{number}"
        fields = {"name": name, "stack": stack, "kind": kind, "by": by, "at": at, "new_version": new_version}
        record = Record.model_validate({**fields, **known})
        partial = _partial(record)
        try:
            # A link, unlike a rename, never replaces what is there.
            os.link(partial, path(stack, name))
        except FileExistsError:
            number += 1
            continue
        finally:
            partial.unlink(missing_ok=True)
        prune(stack)
        return record


def save(record: Record) -> Path:
    """Write a record as it is now; whoever reads meanwhile finds the state before or this one."""
    record.traffic = thinned(record.traffic, thresholds()["deploy"]["traffic_samples_max"])
    kept = path(record.stack, record.name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    _partial(record).rename(kept)
    return kept


def finish(record: Record, verdict: Verdict, reason: str = "", duration_s: float | None = None) -> Path:
    """Write how it ended, and after how long; None: now."""
    record.verdict, record.reason = verdict, reason
    record.duration_s = record.elapsed_s() if duration_s is None else duration_s
    return save(record)


def path(stack: str, name: str) -> Path:
    """Where a record is kept; UsageError for what can't be a record's name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no record of a deploy", f"ls {deploys_dir(stack)}")
    return deploys_dir(stack) / f"{name}.json"


def load(stack: str, name: str) -> Record:
    """The record of that name; UsageError when there is none, TillError when it can't be read."""
    kept = path(stack, name)
    try:
        return Record.model_validate_json(kept.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"stack {stack} has no record {name}", f"ls {deploys_dir(stack)}") from None
    except ValidationError as reason:
        first = reason.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise TillError(f"{kept} can't be read: {where}: {first['msg']}", f"less {kept}") from None


def names(stack: str) -> list[str]:
    """The records of a stack by name, oldest first."""
    found = [(kept.stem, NAME.fullmatch(kept.stem)) for kept in deploys_dir(stack).glob("*.json")]
    return [name for _, name in sorted((match[2], name) for name, match in found if match)]


def every(stack: str) -> list[Record]:
    """All records of a stack, oldest first."""
    return [load(stack, name) for name in names(stack)]


def prune(stack: str) -> list[str]:
    """Remove the oldest records and their pages beyond the policy's number; their names."""
    gone = names(stack)[: -thresholds()["deploy"]["records_kept"]]
    for name in gone:
        path(stack, name).unlink(missing_ok=True)
        path(stack, name).with_suffix(".html").unlink(missing_ok=True)
        for left in deploys_dir(stack).glob(f".{name}.*.partial"):
            left.unlink()
    return gone


def facts(record: Record) -> dict[str, Any]:
    """What the verb's JSON and the journal tell of it. Pure."""
    keys = (
        "strategy", "old_version", "new_version", "verdict", "reason", "failed_requests", "switch_s", "rollback_s",
        "phases",
    )  # fmt: skip
    return {"ok": record.verdict == "pass", **record.model_dump(include=set(keys))}


def _partial(record: Record) -> Path:
    partial = deploys_dir(record.stack) / f".{record.name}.{os.getpid()}.partial"
    with partial.open("w") as file:
        file.write(record.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return partial

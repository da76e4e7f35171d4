"""The first hour of a release is watched on the host with Prometheus, not here: begun, shown, ended, its deeds fetched.

What decides and takes back is the program release-watch (role release_watch, docs/adr/0021). This is the runner's end.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Collection, Mapping
from typing import Any

from infra.contract import Role
from till.changes import journal, journal_head, local_lock
from till.errors import TillError
from till.hosts import programs
from till.hosts.session import Session
from till.paths import journal_file, records_lock_file
from till.platforms.vps.edges import Intent
from till.policy import thresholds
from till.progress import Progress
from till.records import deploy_documents, deploy_record
from till.records.deploy_record import Gate, GateVerdict, Record, Step
from till.releases import release

PROGRAM = "release-watch"
BY = "till-release-watch@"
# What a gate of a record may say, by what the watch says.
GATES: dict[str, GateVerdict] = {
    "pass": "pass",
    "insufficient": "insufficient",
    "held": "skipped",
    "consider": "fail",
    "immediate": "fail",
}
Facts = dict[str, Any]


def begin(session: Session, record: Record, intents: Mapping[str, Intent], progress: Progress) -> Facts:
    """Watch a release that has all the traffic since a moment ago; {} where there is nothing to go back to.

    Never raises TillError: the deploy has passed. That nobody watches is told.
    """
    stack, policy = session.contract.stack, thresholds()["watch"]
    if not all(one.beside for one in intents.values()) or not record.old_version or not policy["duration_s"]:
        return {}
    try:
        told = _asked(session, "begin", given=_given(session, record, intents))
    except TillError as reason:
        progress.say(f"warning: nobody watches {record.new_version}: {reason.message}")
        return {"watch": {"fault": reason.message}}
    progress.say(f"{record.new_version} is watched for {policy['duration_s']} s: till watch {stack}")
    return {"watch": told}


def read_watch(session: Session) -> Facts:
    """The watch that goes on, or was the last, and its last look; {"watch": None} where there was none."""
    found: Facts = _asked(session, "show")
    return found


def end(session: Session, why: str, by: str) -> bool:
    """End the watch that goes on; whether one did. Raises HostUnreachable, TillError.

    A later deploy or rollback does so before it touches slots: what the watch would go back to is not there any more.
    """
    return bool(_asked(session, "end", why, by)["ended"])


def over(session: Session, why: str, by: str, progress: Progress) -> None:
    """The same for a change that goes on without the watch's host: the lock and its token keep the watch away."""
    if not _watches(session):
        return
    try:
        if end(session, why, by):
            progress.say(f"the watch of the release before is over: {why}")
    except TillError as reason:
        progress.say(f"warning: a watch may go on: {reason.message}")


def collect(session: Session, progress: Progress, unreached: Collection[str] = ()) -> list[str]:
    """Make records, papers and journal entries of what the watch has done; their names. Never raises TillError."""
    stack = session.contract.stack
    if not _watches(session, unreached):
        return []
    try:
        results = _asked(session, "results")
        with local_lock.hold_records_lock(records_lock_file(stack)):
            noted = _noted(stack)
            fresh = [one for one in results if _id(one) not in noted]
            names = [_kept(session, one) for one in fresh]
    except TillError as reason:
        progress.say(f"warning: what the watch of releases did is not known: {reason.message}")
        return []
    for one, name in zip(fresh, names, strict=True):
        what = "was taken back" if one["verdict"] == "pass" else "was to be taken back"
        progress.say(f"{one['old_version']} {what} by {one['by']}: {one['reason']} ({name})")
    if names and (warning := journal_head.push(session)):
        progress.say(f"warning: {warning}")
    return names


def _watches(session: Session, unreached: Collection[str] = ()) -> bool:
    """Whether a host is there that could watch."""
    there = [host.name for host in session.contract.hosts if Role.MONITORING in host.roles]
    return bool(there) and there[0] not in unreached


def _id(result: Facts) -> float:
    """What tells one try from another: when its host began it."""
    return round(float(result["at"]), 3)


def _noted(stack: str) -> set[float]:
    """The tries that have all they get here: the journal's entry is the last of it."""
    ours = [one for one in journal.read(journal_file(stack)) if str(one["by"]).startswith(BY)]
    return {float(one["happened_at"]) for one in ours if "happened_at" in one}


def _begun(stack: str, result: Facts) -> Record | None:
    """The record of a try that was cut off before its entry."""
    names = [name for name in deploy_record.names(stack) if name.startswith("rollback-")]
    here = [deploy_record.load(stack, name) for name in names]
    return next((one for one in here if one.by == result["by"] and round(one.at, 3) == _id(result)), None)


def _kept(session: Session, result: Facts) -> str:
    """The record of one try, with its papers and its entry in the journal."""
    contract, took_s = session.contract, result["rollback_s"]
    sentence = "; ".join(filter(None, (result["reason"], result["warning"])))
    record = _begun(contract.stack, result) or deploy_record.begin(
        contract.stack, "rollback", result["by"], result["new_version"], at=result["at"],
        old_version=result["old_version"], new_sha256=_sha256(session, result["new_version"]),
        old_sha256=_sha256(session, result["old_version"]), switch_s=took_s, rollback_s=took_s,
        steps=[Step(at_s=took_s, percent=100)] if took_s is not None else [],
        gates=[_gate(name, one) for name, one in result["measures"].items()],
    )  # fmt: skip
    told = deploy_documents.close_record(contract, record, result["verdict"], sentence, result["duration_s"])
    facts = {name: result[name] for name in ("old_version", "new_version", "rollback_s", "duration_s")}
    facts |= {"by": result["by"], "fetched_by": journal.account(), "reason": sentence, "record": told["record"]}
    facts["happened_at"] = _id(result)
    journal.append(journal_file(contract.stack), "rollback", result["verdict"] == "pass", facts)
    return record.name


def _gate(name: str, said: dict[str, str]) -> Gate:
    verdict = GATES.get(said["verdict"], "skipped")
    return Gate(at_s=0, phase="watch", gate=name, verdict=verdict, sentence=said["sentence"])


def _given(session: Session, record: Record, intents: Mapping[str, Intent]) -> Facts:
    contract = session.contract
    new = release.load(contract, record.new_version)
    assert record.old_version is not None
    # A release that was built elsewhere does not tell where it tells its version: then its slots alone do.
    built = release.is_built(contract.stack, record.old_version)
    return {
        "version": record.new_version,
        "old_version": record.old_version,
        "hosts": {host: {"new_slot": one.new_slot, "old_slot": one.old_slot} for host, one in intents.items()},
        "record": record.name,
        "by": record.by,
        "deploy_at": record.at,
        "watch_s": thresholds()["watch"]["duration_s"],
        "version_path": release.load(contract, record.old_version).version_path if built else "",
        "contracted": new.migrations == "contract",
        "unasked": sorted(filter(None, (new.health_path, new.version_path, new.metrics_path))),
    }


def _sha256(session: Session, version: str) -> str:
    stack = session.contract.stack
    return release.load(session.contract, version).sha256 if release.is_built(stack, version) else ""


def _asked(session: Session, *words: str, given: Facts | None = None) -> Any:
    """The program's answer; raises HostUnreachable, TillError, or UsageError where no host has Prometheus."""
    host = programs.host_with(session.contract, Role.MONITORING).name
    again, timeout_s = f"till status {session.contract.stack}", thresholds()["watch"]["request_deadline_s"]
    if given is None:
        return programs.run_host_program(session, host, PROGRAM, *words, timeout_s=timeout_s, next_command=again)
    process = session.talk(host, shlex.join([f"{programs.FOLDER}/{PROGRAM}", *words]))
    try:
        told, said = process.communicate(json.dumps(given).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise TillError(f"{host}: {PROGRAM} {words[0]} took longer than {timeout_s} s", again) from None
    fault = said.decode(errors="replace").strip().removeprefix(f"{PROGRAM}: ")[-600:]
    programs.require_reached(host, process.returncode, fault, again)
    if process.returncode != 0:
        raise TillError(f"{host}: {fault or f'{PROGRAM} ended with {process.returncode}'}", again)
    return json.loads(told)

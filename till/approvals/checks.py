"""What code checks before a deploy: a fact and policy's limits in, a verdict and a sentence out. Pure.

Each check is named as in checklist.yml and judges the fact of that name; `now` has its zone. Facts that could not be
read are `Unread`, and no check passes on one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from till.approvals import window as windows
from till.changes.journal_head import Comparison
from till.verdict import Verdict

DAY_S, HOUR_S = 86400, 3600
DEPLOY = "deploy"
FIRST = "nothing was deployed here yet"


@dataclass(frozen=True)
class Unread:
    """A fact that could not be had, and why."""

    reason: str


def tests(passed: bool, _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`passed`: what the release's manifest says of its tests. One whose tests failed was never released."""
    if not passed:
        return Verdict("tests", False, "the release's manifest does not say that its tests passed")
    return Verdict("tests", True, "the release's own tests passed when it was built")


def secrets(missing: list[str], _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`missing`: names of what the contract has empty."""
    told = f"the contract lacks {', '.join(missing)}" if missing else "the contract has every credential, encrypted"
    return Verdict("secrets", not missing, told)


def journal(found: Comparison, _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`found`: how the journal, whose chain was verified, stands to the heads kept on the stack."""
    return Verdict("journal", found.holds, found.sentence)


def database(told: dict[str, Any], _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`told`: leader and faults of the copies."""
    if told["leader"] is None:
        return Verdict("database", False, "no database leads")
    if told["faults"]:
        return Verdict("database", False, "; ".join(told["faults"]))
    return Verdict("database", True, f"the database leads on {told['leader']} and every copy follows")


def certificates(told: dict[str, dict[str, str]], limits: dict[str, Any], now: datetime) -> Verdict:
    """`told`: by edge not_after (as OpenSSL writes it) or fault."""
    wrong = [f"{edge}: {one['fault']}" for edge, one in told.items() if "fault" in one]
    ends = {edge: ssl.cert_time_to_seconds(one["not_after"]) for edge, one in told.items() if "fault" not in one}
    days = {edge: (end_s - now.timestamp()) / DAY_S for edge, end_s in ends.items()}
    least = limits["certificate_days_min"]
    for edge, left in days.items():
        if left < least:
            wrong.append(f"{edge}'s certificate ends in {left:.1f} days, {least} are wanted")
    if wrong or not told:
        return Verdict("certificates", False, "; ".join(wrong) or "no edge serves a certificate")
    return Verdict("certificates", True, f"the certificates of {len(days)} edges hold {min(days.values()):.0f} days")


def status(faults: list[str], _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`faults`: those of `till status`."""
    return Verdict("status", not faults, "; ".join(faults) or "till status finds no fault")


def edges(told: dict[str, Any], _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`told`: first, and served: edge -> release or None."""
    silent = [edge for edge, served in told["served"].items() if served is None]
    if told["first"]:
        return Verdict("edges", True, FIRST)
    if silent or not told["served"]:
        return Verdict("edges", False, f"no release is served by {', '.join(silent) or 'any edge'}")
    return Verdict("edges", True, f"{len(told['served'])} edges serve a release")


def directus(told: dict[str, Any], _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`told`: see `_by_health`."""
    return _by_health("directus", ("directus", "database"), told)


def paypal(told: dict[str, Any], _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`told`: see `_by_health`."""
    return _by_health("paypal", ("paypal",), told)


def _by_health(gate: str, names: tuple[str, ...], told: dict[str, Any]) -> Verdict:
    """`told`: sells (whether the release takes payments), health: edge -> checks by name, {} of an app that tells none,
    None where nothing answers."""
    if not told["sells"]:
        return Verdict(gate, True, "this app takes no payments")
    answers = {edge: checks for edge, checks in told["health"].items() if checks is not None}
    if not answers:
        return Verdict(gate, True, "nothing serves yet that could tell; the smoke purchase will")
    wrong = [
        f"{edge} {'does not reach' if name in checks else 'does not tell of'} {name}"
        for edge, checks in answers.items()
        for name in names
        if not checks.get(name, {}).get("ok")
    ]
    return Verdict(gate, not wrong, "; ".join(wrong) or f"{', '.join(answers)} reach {' and '.join(names)}")


def logs(fault: str, _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`fault`: "" where the log store takes events."""
    return Verdict("logs", not fault, fault or "the log store takes events")


def alerts(told: dict[str, Any], _limits: dict[str, Any], _now: datetime) -> Verdict:
    """`told`: rules, how many Prometheus watches by, and firing, the names of alerts."""
    if not told["rules"]:
        return Verdict("alerts", False, "Prometheus has no rules to alert by")
    if told["firing"]:
        return Verdict("alerts", False, f"firing: {', '.join(sorted(set(told['firing'])))}")
    return Verdict("alerts", True, f"Prometheus watches by {told['rules']} rules, and none fires")


def backups(told: dict[str, Any], limits: dict[str, Any], _now: datetime) -> Verdict:
    """`told`: first, age_s of the newest backup (None: there is none), faults."""
    if told["first"]:
        return Verdict("backups", True, f"{FIRST}: there is nothing to lose")
    if told["age_s"] is None:
        return Verdict("backups", False, "there is no backup")
    allowed_s = limits["backup_age_max_s"]
    wrong = list(told["faults"])
    if told["age_s"] > allowed_s:
        wrong.append(f"the newest backup is {told['age_s'] / HOUR_S:.1f} h old, the RPO is {allowed_s / HOUR_S:.1f} h")
    return Verdict("backups", not wrong, "; ".join(wrong) or f"the newest backup is {told['age_s'] / 60:.0f} min old")


def drill(told: dict[str, Any], limits: dict[str, Any], now: datetime) -> Verdict:
    """`told`: first, and results of restore drills, oldest first: at (seconds), ok, rpo_s, rto_s, reason."""
    if told["first"]:
        return Verdict("drill", True, f"{FIRST}: there is nothing to restore")
    if not told["results"]:
        return Verdict("drill", False, "no restore was ever drilled")
    last = told["results"][-1]
    age_h = (now.timestamp() - last["at"]) / HOUR_S
    wrong = [] if last["ok"] else [f"the last restore drill failed: {last.get('reason', 'it told no reason')}"]
    wrong += [
        f"its {key} was {last[key]}, the guide allows {limits[key]}"
        for key in ("rpo_s", "rto_s")
        if last.get(key, 0) > limits[key]
    ]
    if age_h > limits["drill_age_max_h"]:
        wrong.append(f"the last restore drill was {age_h:.0f} h ago, one each {limits['drill_age_max_h']} h is wanted")
    return Verdict("drill", not wrong, "; ".join(wrong) or f"the restore drill of {age_h:.0f} h ago was good")


def staging(told: dict[str, Any], limits: dict[str, Any], now: datetime) -> Verdict:
    """`told`: sha256 of the artefact, and entries of staging's journal; its last deploy of that artefact counts."""
    same = [e for e in told["entries"] if e["verb"] == DEPLOY and e.get("sha256") == told["sha256"]]
    if not same:
        return Verdict("staging", False, f"staging never had this artefact ({told['sha256'][:12]})")
    last = same[-1]
    age = now - datetime.fromisoformat(last["at"])
    if not last["ok"]:
        return Verdict("staging", False, f"staging refused this artefact: {last.get('reason', 'it told no reason')}")
    if age > timedelta(days=limits["staging_age_max_days"]):
        allowed = limits["staging_age_max_days"]
        return Verdict("staging", False, f"staging passed it {age.days} days ago, {allowed} are allowed")
    return Verdict("staging", True, f"staging passed the same artefact {last['at'][:16]}Z")


def window(rule: dict[str, Any], _limits: dict[str, Any], now: datetime) -> Verdict:
    """`rule`: policy's window of the environment."""
    return windows.judge(rule, now)


CHECKS: dict[str, Callable[[Any, dict[str, Any], datetime], Verdict]] = {
    one.__name__: one
    for one in (
        tests, secrets, journal, database, certificates, status, edges, directus, paypal, logs, alerts, backups, drill,
        staging, window,
    )
}  # fmt: skip

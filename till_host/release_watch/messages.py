"""What people read of a watched release: what was seen, what is done about it, what they can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KIND = "release"
RUNBOOK = "docs/runbooks/watch.md"
# The measure that a payment service is watched for.
PAYMENTS = "payments"
Watch = dict[str, Any]
Event = dict[str, Any]


def consider(watch: Watch, stack: str, reasons: tuple[str, ...]) -> Event:
    text = f"{_since(watch)}: {'; '.join(reasons)}. It serves on: going back is for a person to decide."
    return _event(
        "warning", f"should {watch['version']} go back?", text, f"till rollback {stack}, till watch {stack}", stack
    )


def begins(watch: Watch, stack: str, reasons: tuple[str, ...]) -> Event:
    text = f"{_since(watch)}: {'; '.join(reasons)}. It is taken back now, {watch['old_version']} serves again."
    return _event("failure", f"{watch['version']} is taken back", text, f"till watch {stack}", stack)


def done(watch: Watch, stack: str, took_s: float, warning: str) -> Event:
    text = f"All traffic went back from {watch['version']} to {watch['old_version']} within {took_s:g} s."
    text = f"{text} But: {warning}." if warning else f"{text} Every edge serves it and is well."
    severity = "warning" if warning else "success"
    following = f"till status {stack}; mend {watch['version']}; till incident list {stack} has its post-mortem"
    return _event(severity, f"{watch['old_version']} serves again", text, following, stack)


def failed(watch: Watch, stack: str, why: str, again: bool) -> Event:
    text = f"{watch['version']} was to be taken back, and was not: {why}."
    text += " It is tried again." if again else " It is not tried again: a person has to."
    return _event(
        "failure", f"{watch['version']} was not taken back", text, f"till rollback {stack}; till status {stack}", stack
    )


def waits(watch: Watch, stack: str, reasons: tuple[str, ...], what: str) -> Event:
    text = f"{watch['version']} is to go back: {'; '.join(reasons)}. Nothing was moved yet: {what}."
    return _event("failure", f"{watch['version']} waits to be taken back", text, f"till status {stack}", stack)


def passed(watch: Watch, stack: str, unjudged: Mapping[str, str]) -> Event:
    """`unjudged`: by measure what was said of what had too little traffic to be judged."""
    text = f"{watch['version']} was watched for {watch['until'] - watch['since']:.0f} s and stays."
    if PAYMENTS not in unjudged:
        return _event("success", f"{watch['version']} stays", text, f"till status {stack}", stack)
    text += "".join(f" Insufficient: {name}: {said}." for name, said in unjudged.items())
    following = f"till status {stack}; what few payments can't show is for a person to look at"
    return _event("warning", f"{watch['version']} stays, too few payments to judge it", text, following, stack)


def _since(watch: Watch) -> str:
    return f"{watch['version']} serves since the deploy {watch['record']} by {watch['by']}"


def _event(severity: str, what: str, text: str, following: str, stack: str) -> Event:
    return {
        "kind": KIND,
        "severity": severity,
        "title": f"Till {stack}: {KIND}: {what}",
        "text": f"{text}\nNext: {following}; {RUNBOOK}",
    }

"""What a play did, per host, and how that is told. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from infra.contract import Contract, Host
from till.errors import HostUnreachable, TillError

OUTCOMES = ("ok", "changed", "failed", "unreachable")
NO_REASON = "non-zero return code"
# OpenSSH's words, and Mitogen's for the same.
KEY_CHANGED = ("IDENTIFICATION HAS CHANGED", "Host key verification failed", "mismatching host key")


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host; `message` is redacted."""

    host: str
    task: str
    message: str


@dataclass
class PlayResult:
    """What a run did: tasks per host by outcome, failures with their messages, seconds."""

    playbook: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unreachable: list[Failure] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def succeeded(self) -> bool:
        return not self.failures and not self.unreachable

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host; a host without one is left out."""
        return {host: count["changed"] for host, count in sorted(self.counts.items()) if count["changed"]}

    def finish(self, stats: dict[str, Any]) -> None:
        """Take Ansible's own count. A failure that a rescue mended is none."""
        names = {"ok": "ok", "changed": "changed", "failed": "failures", "unreachable": "dark"}
        hosts = sorted({host for key in names.values() for host in stats.get(key) or {}})
        self.counts = {
            host: {outcome: int((stats.get(key) or {}).get(host, 0)) for outcome, key in names.items()}
            for host in hosts
        }
        self.failures = [one for one in self.failures if self.counts.get(one.host, {}).get("failed")]

    def facts(self) -> dict[str, Any]:
        """The numbers as the verbs' JSON has them: `failed` and `unreachable` count hosts."""
        return {
            "changed": sum(self.changed.values()),
            "changed_by_host": self.changed,
            "failed": len({one.host for one in self.failures}),
            "unreachable": len({one.host for one in self.unreachable}),
            "per_host": self.counts,
            "hosts": sorted(self.counts),
        }

    def raise_for_failure(self, contract: Contract, next_command: str) -> None:
        """HostUnreachable or TillError naming hosts, tasks and reasons."""
        if self.unreachable:
            told = [unreachable(contract, one) for one in self.unreachable]
            first = next((command for _, command in told if command), next_command)
            raise HostUnreachable("; ".join(sentence for sentence, _ in told), first, self.facts())
        if self.failures:
            lines = [f"{one.host}: {one.task}: {one.message}" for one in self.failures]
            raise TillError(f"{self.playbook} failed\n  " + "\n  ".join(lines), next_command, self.facts())


def unreachable(contract: Contract, failure: Failure) -> tuple[str, str]:
    """The sentence for a host that was not reached, and the next command where it is a special one."""
    everyone: list[Host] = [*contract.hosts, *([contract.outside.host] if contract.outside else [])]
    host = next(one for one in everyone if one.name == failure.host)
    if not any(sign in failure.message for sign in KEY_CHANGED):
        reason = failure.message.strip()[-600:]
        return f"host {host.name} ({host.address}:{host.port}) can't be reached by SSH: {reason}", ""
    sentence = (
        f"host {host.name} ({host.address}:{host.port}) shows another SSH host key than the pinned one:"
        " it was reinstalled, or someone answers in its place"
    )
    if contract.environment == "lab":
        return sentence, f".venv/bin/pulumi up --refresh -s {contract.stack}"
    compare = f"ssh-keyscan -t {host.host_key.split()[0].removeprefix('ssh-')} -p {host.port} {host.address}"
    return sentence, (
        f"{compare}; compare it with your provider's console, and only then set hostKey in Pulumi.{contract.stack}.yaml"
    )


def message(res: dict[str, Any]) -> str:
    """What a task's result says of its failure, items of a loop included. Not redacted."""
    parts = [str(res.get("msg", ""))]
    items = [item for item in res.get("results", []) if isinstance(item, dict) and item.get("failed")]
    parts += [str(item.get("msg", "")) for item in items]
    parts += [str(one[key]) for one in (res, *items) for key in ("stderr", "module_stderr") if one.get(key)]
    said = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    # A command's own words tell more than that it failed.
    told = [part for part in said if part != NO_REASON] or said
    return " | ".join(told) or json.dumps(res, default=str)

"""What the checklist goes by, read from the stack, its journal and staging's. One that can't be read is Unread."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

from infra.contract import Contract, Host, Role
from till.approvals import signoff
from till.approvals.checks import DEPLOY, Unread
from till.changes import journal, journal_head
from till.errors import TillError
from till.fan_out import at_once
from till.hosts import programs
from till.hosts.session import Session
from till.observe import probe, replication, status
from till.paths import journal_file
from till.policy import host_policy, thresholds
from till.recovery import backup
from till.recovery.drills import host_unit, restore
from till.releases.release import Manifest
from till.stacks import stack

# Every rule, each with its state. Prometheus listens on its own host alone, and curl may be missing there.
RULES = """
import sys, urllib.request as web
sys.stdout.write(web.urlopen("http://127.0.0.1:9090/api/v1/rules?type=alert", timeout=10).read().decode())
"""
LOG_STORE = "systemctl is-active till-log-store.service"
# A contract may have these empty.
OPTIONAL = ("sentry_dsn",)
OFFSITE = "backup_offsite_"
OK = 200


def entries(name: str) -> list[dict[str, Any]]:
    """A stack's journal, oldest entry first; raises TillError naming the first entry that breaks its chain."""
    journal.verify(journal_file(name))
    return journal.read(journal_file(name))


def digest(name: str, manifest: Manifest, plan_text: str) -> str:
    """What a sign-off of this release on this stack is bound to."""
    return signoff.digest(manifest, stack.settings_file(name).read_text(), plan_text)


def first(told: list[dict[str, Any]]) -> bool:
    """Whether nothing was deployed since the stack was made. Pure."""
    last_down = max((n for n, entry in enumerate(told) if entry["verb"] == "down" and entry["ok"]), default=-1)
    return not any(entry["verb"] == DEPLOY and entry["ok"] for entry in told[last_down + 1 :])


def missing_secrets(contract: Contract) -> list[str]:
    """Names of the credentials that are empty and must not be. Pure."""
    given = {name: secret.get_secret_value() for name, secret in contract.secrets.items()}
    empty = [name for name, value in given.items() if not value and name not in OPTIONAL]
    public = {"paypal client id": contract.paypal.client_id, "paypal webhook id": contract.paypal.webhook_id}
    empty += [name for name, value in public.items() if not value]
    return [name for name in empty if contract.backup_offsite or not name.startswith(OFFSITE)]


def read(session: Session, manifest: Manifest) -> dict[str, Any]:
    """Every fact of checks.py, by the check's name; raises TillError where the journal's chain is broken."""
    contract = session.contract
    told, seen = entries(contract.stack), status.of(session)
    new = first(told)
    served, data = seen["versions"], seen["database"]
    # The first release is what mends that none is served.
    unserved = {f"edge {edge} serves no release" for edge in served} if not any(served.values()) else set()
    health = {"sells": manifest.smoke == "purchase", "health": _health(contract)}
    return {
        "tests": manifest.tests_passed,
        "staging": _had(lambda: {"sha256": manifest.sha256, "entries": entries(_limits()["staging_stack"])}),
        "secrets": missing_secrets(contract),
        "journal": _had(lambda: journal_head.compare(told, journal_head.read(session)[0])),
        "database": {"leader": data["leader"], "faults": replication.behind(contract, data["members"])},
        "certificates": seen["certificates"],
        "status": [fault for fault in seen["faults"] if fault not in unserved],
        "edges": {"first": new, "served": served},
        "directus": health,
        "paypal": health,
        "logs": _had(lambda: _logs(session)),
        "alerts": _had(lambda: _alerts(session)),
        "backups": _had(lambda: {"first": new, **_backups(session)}),
        "drill": _had(lambda: {"first": new, "results": host_unit.results(session, restore.KIND)}),
        "window": host_policy()["policy_deployment_window"][contract.environment],
    }


def _limits() -> dict[str, Any]:
    found: dict[str, Any] = thresholds()["checklist"]
    return found


def _had(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (TillError, ValueError, KeyError) as reason:
        return Unread(reason.message if isinstance(reason, TillError) else f"{type(reason).__name__}")


def _health(contract: Contract) -> dict[str, dict[str, Any] | None]:
    """The checks that each edge's health tells, by name; {} of an app that tells none, None where nothing answers."""
    try:
        trust = probe.public_trust(contract)
    except (TillError, OSError):
        # `till status` names this fault.
        return {}

    def one(edge: Host) -> dict[str, Any] | None:
        try:
            with probe.Site(contract.names.shop, edge.address, trust, thresholds()["status"]["timeout_s"]) as site:
                answer = site.ask("GET", host_policy()["policy_health_path"])
        except TillError:
            return None
        try:
            return dict(answer.json()["checks"])
        except (ValueError, KeyError, TypeError):
            # An edge without a release answers 503 in its own words.
            return {} if answer.status_code == OK else None

    return at_once(one, [host for host in contract.hosts if Role.EDGE in host.roles])


def _backups(session: Session) -> dict[str, Any]:
    found = backup.facts(session)
    return {"age_s": found["age_s"], "faults": found["faults"]}


def _logs(session: Session) -> str:
    host = programs.host_with(session.contract, Role.LOG_STORE).name
    done = session.ssh(host, LOG_STORE, timeout_s=_limits()["request_timeout_s"])
    programs.require_reached(host, done.returncode, done.stderr, f"till status {session.contract.stack}")
    return "" if done.returncode == 0 else f"the log store on {host} is {(done.stdout or done.stderr).strip()[-200:]}"


def _alerts(session: Session) -> dict[str, Any]:
    host = programs.host_with(session.contract, Role.MONITORING).name
    done = session.ssh(host, shlex.join(["python3", "-c", RULES]), timeout_s=_limits()["request_timeout_s"])
    programs.require_reached(host, done.returncode, done.stderr, f"till status {session.contract.stack}")
    if done.returncode != 0:
        raise TillError(f"Prometheus on {host} does not answer: {done.stderr.strip()[-200:]}")
    return alerts(json.loads(done.stdout))


def alerts(document: dict[str, Any]) -> dict[str, Any]:
    """From Prometheus' own document: rules, how many, and firing, the names of those that do. Pure."""
    rules = [rule for group in document["data"]["groups"] for rule in group["rules"]]
    return {"rules": len(rules), "firing": [rule["name"] for rule in rules if rule["state"] == "firing"]}

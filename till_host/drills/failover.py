"""A failover drill: a fault at the site that leads, under a load of payments; measured, healed, reconciled.

    drill-failover look                                           what would refuse a drill now; one JSON object
    drill-failover request KIND [--override REASON] [--by WHO]    look, then start the unit; one JSON object
    drill-failover run                                            the drill, of the kind requested or else of policy's
    drill-failover clean                                          heal every host

What it measured goes to /var/lib/till/drills and to metrics. Whatever ends this program, faults end by themselves:
the unit runs "clean" after it, and each host heals itself after the fault's time.
Exit codes: 0 all as it should be, 1 not (said on stderr and in the result). A refused drill leaves no result.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from till_host import ssh, window
from till_host.drills import drill, hosts
from till_host.drills.readiness import look, unwell
from till_host.drills.rehearsal import Rehearsal
from till_host.faults import Fault
from till_host.payments.buyer import Shop

POLICY = Path("/etc/till/drill-failover.json")
REQUEST = Path("/run/till-drill-failover.request")
UNIT = "till-drill-failover.service"


class Refused(Exception):
    """Nothing was begun: why ("window", "running", "unwell") and the sentence."""

    def __init__(self, why: str, sentence: str) -> None:
        super().__init__(sentence)
        self.why = why


def allowed(rules: dict[str, Any], kind: str, override: str) -> None:
    """Raises Refused for a kind that is none, or outside of the window without a reason."""
    if kind not in rules["fault_s"]:
        raise Refused("kind", f"{kind} is none of {', '.join(rules['fault_s'])}")
    outside = window.refusal(rules["window"], time.time())
    if outside and not override:
        raise Refused("window", outside)


def well(rules: dict[str, Any], shop: Shop) -> str:
    """The database's host that leads; raises Refused where something is not well."""
    seen = look(rules, shop.internal, shop.public)
    if found := unwell(rules, seen):
        raise Refused("unwell", "; ".join(found))
    return seen.leader


def request(rules: dict[str, Any], kind: str, override: str, by: str) -> dict[str, Any]:
    """Refusals come at once; the drill itself goes on in its unit."""
    allowed(rules, kind, override)
    with drill.alone() as alone:
        if not alone:
            raise Refused("running", "another drill is under way on this host")
        well(rules, Shop.of(rules))
    REQUEST.write_text(json.dumps({"kind": kind, "override": override, "by": by}))
    try:
        subprocess.run(["systemctl", "start", "--no-block", UNIT], check=True, timeout=20)
    except subprocess.SubprocessError as reason:
        # The calendar's next drill must not take it for its own.
        REQUEST.unlink(missing_ok=True)
        raise Fault(f"{UNIT} does not start: {reason}") from None
    return {"unit": UNIT}


def requested(rules: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, once; by the calendar it is policy's kind."""
    try:
        found: dict[str, Any] = json.loads(REQUEST.read_text())
    except (FileNotFoundError, ValueError):
        return {"kind": rules["kind"], "override": "", "by": "timer"}
    REQUEST.unlink()
    return found


def run(rules: dict[str, Any]) -> bool:
    """Whether all was as it should be; the result is kept in any case."""
    asked = requested(rules)
    allowed(rules, asked["kind"], asked["override"])
    shop = Shop.of(rules)
    rehearsal = Rehearsal(rules, shop, asked["kind"], asked)
    result = rehearsal.result
    with rehearsal.phase("look"):
        leader = well(rules, shop)
    try:
        rehearsal.run(leader)
        result["ok"] = "reason" not in result
    except Fault as reason:
        result["reason"] = "; ".join([str(reason), *([result["reason"]] if "reason" in result else [])])
    except Exception as reason:
        result["reason"] = f"{type(reason).__name__}: {reason}".splitlines()[0]
        raise
    finally:
        heal(rules)
        rehearsal.keep(rules["results_kept"], ("detected_s", "dns_switch_s", "promoted_s", "rto_s", "failback_s"))
        rehearsal.status.unlink(missing_ok=True)
    if not result["ok"]:
        print(f"drill-failover: {result['reason']}", file=sys.stderr)
    return bool(result["ok"])


def heal(rules: dict[str, Any]) -> None:
    """Ask every other host to heal; one that can't be asked does so by itself."""
    others = [host["name"] for host in rules["hosts"] if host["name"] != rules["here"]]
    for told in ssh.at_once(others, hosts.heal).values():
        if isinstance(told, Fault):
            print(f"drill-failover: {told}; it heals by itself when the fault's time is over", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    asks = commands.add_parser("request")
    asks.add_argument("kind")
    asks.add_argument("--override", default="")
    asks.add_argument("--by", default="")
    commands.add_parser("look")
    commands.add_parser("run")
    commands.add_parser("clean")
    arguments = parser.parse_args()
    rules = json.loads(POLICY.read_text())
    try:
        if arguments.command == "request":
            print(json.dumps(request(rules, arguments.kind, arguments.override, arguments.by)))
            return 0
        if arguments.command == "look":
            shop = Shop.of(rules)
            print(json.dumps({"unwell": unwell(rules, look(rules, shop.internal, shop.public))}))
            return 0
        if arguments.command == "clean":
            heal(rules)
            drill.status("failover").unlink(missing_ok=True)
            return 0
        with drill.alone() as alone:
            if not alone:
                raise Refused("running", "another drill is under way on this host")
            return 0 if run(rules) else 1
    except Refused as reason:
        if arguments.command == "request":
            print(json.dumps({"refused": str(reason), "why": reason.why}))
            return 0
        print(f"drill-failover: refused: {reason}", file=sys.stderr)
        return 1
    except (Fault, OSError) as reason:
        print(f"drill-failover: {reason}", file=sys.stderr)
        return 1

"""Lead from the preferred site again, by itself where policy says so.

    failback watch               look again and again, and move when it is time (the unit till-failback)
    failback hold WHY            nothing moves by itself until it is released; a planned move elsewhere says so
    failback release             it may again; `till failback` says so
    failback state               the record and the policy as JSON

What is held stands in etcd, for every host. Settings: /etc/till/failback.json.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from till_host import patroni
from till_host.database.failback_decision import Policy, Record, Seen, decide, held
from till_host.etcd import Etcd
from till_host.notifications import spool

SETTINGS = Path("/etc/till/failback.json")
UNFINISHED = {
    Path("/var/lib/till/restore.json"): "a restore is unfinished here",
    Path("/var/lib/till/restoring"): "a restore is under way here",
}
SWITCHOVER = "/opt/till-host/current/bin/switchover"
WRITES = 5
PATRONI_TIMEOUT_S = 5


def healthy(settings: dict[str, Any]) -> bool:
    """Whether this host's edge serves the shop with status 200 at its deep health."""
    trust = ssl.create_default_context()
    # As the nameservers check: it is our own edge; certificates have a watch of their own.
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    try:
        edge = http.client.HTTPSConnection(settings["address"], 443, timeout=5, context=trust)
        edge.request("GET", settings["health_path"], headers={"Host": settings["shop_name"]})
        return edge.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def see(settings: dict[str, Any]) -> Seen:
    """One look; raises OSError, ValueError, KeyError when Patroni does not tell."""
    told = patroni.read_cluster(settings["address"], PATRONI_TIMEOUT_S)
    members = {str(one["name"]): one for one in told["members"]}
    leader = next((name for name, one in members.items() if one["role"] == "leader" and one["state"] == "running"), "")
    here = members.get(settings["host"], {})
    lag = here.get("lag")
    others = [one for name, one in members.items() if name not in (settings["host"], leader)]
    return Seen(
        leader=leader,
        leads_here=settings["site_of"].get(leader) == settings["site"],
        role=str(here.get("role", "")),
        state=str(here.get("state", "")),
        lag_bytes=lag if isinstance(lag, int) else None,
        others_stream=not others or any(one["state"] == "streaming" for one in others),
        paused=bool(told.get("pause")),
        healthy=healthy(settings),
        unfinished=next((why for path, why in UNFINISHED.items() if path.exists()), ""),
    )


def written(etcd: Etcd, key: str, change: Any) -> Record:
    """The record after a change to whatever it is by then; raises OSError."""
    for _ in range(WRITES):
        found, revision = etcd.get(key)
        record: Record = change(Record.read(found))
        if etcd.put(key, asdict(record), revision):
            return record
    raise OSError(f"{key} is written by others all the time")


def move(settings: dict[str, Any], leader: str) -> str:
    """Move the leader here, as planned; empty when that went well, else why not."""
    deadline_s = settings["move_deadline_s"]
    command = [SWITCHOVER, leader, str(deadline_s)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s + 60, check=False)
    except subprocess.TimeoutExpired:
        return f"it took longer than {deadline_s + 60} s"
    if done.returncode != 0:
        return done.stderr.strip()[-300:] or f"switchover ended with {done.returncode}"
    return str(json.loads(done.stdout).get("refused", ""))


def tell(settings: dict[str, Any], severity: str, what: str, following: str) -> None:
    title = f"Till {settings['stack']}: failback: {what}"
    text = f"{what}.\nNext: {following}; docs/runbooks/told.md"
    spool.put({"kind": "failback", "severity": severity, "title": title, "text": text}, settings["host"])
    print(what, flush=True)


def watch(settings: dict[str, Any]) -> None:
    policy, etcd, key = (
        Policy(**settings["policy"]),
        Etcd(settings["etcd"], settings["etcd_timeout_s"]),
        settings["key"],
    )
    well_since, said = 0.0, ""
    while True:
        try:
            seen, record = see(settings), Record.read(etcd.get(key)[0])
            well_since, decision = decide(seen, record, well_since, time.time(), policy)
            reason = decision.reason
            if decision.hold or decision.move:
                well_since = 0.0
                act(settings, etcd, seen.leader, decision.move, reason)
        except (OSError, ValueError, KeyError) as fault:
            well_since, reason = 0.0, f"it can't be seen whether this site could lead: {type(fault).__name__} {fault}"
        if reason != said:
            print(reason, flush=True)
            said = reason
        time.sleep(settings["interval_s"])


def act(settings: dict[str, Any], etcd: Etcd, leader: str, moves: bool, reason: str) -> None:
    """Move and say so, or hold and say so; what does not go well is the last try."""
    stack, site, key = settings["stack"], settings["site"], settings["key"]
    if not moves:
        hold(settings, etcd, reason)
        return
    tell(settings, "info", f"Site {site} is to lead again, by policy: {reason}", f"till status {stack}")
    fault = move(settings, leader)
    if fault:
        hold(settings, etcd, f"the move to {site} did not go well: {fault}")
        return
    written(etcd, key, lambda record: replace(record, moved_at=round(time.time(), 3)))


def hold(settings: dict[str, Any], etcd: Etcd, why: str) -> None:
    written(etcd, settings["key"], lambda record: held(record, why, time.time()))
    tell(settings, "warning", f"Failback stays manual: {why}", f"till failback {settings['stack']} when all is well")


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    settings = json.loads(SETTINGS.read_text())
    etcd, key = Etcd(settings["etcd"], settings["etcd_timeout_s"]), settings["key"]
    try:
        if arguments == ["watch"]:
            watch(settings)
        elif arguments[:1] == ["hold"] and len(arguments) == 2:
            print(json.dumps(asdict(written(etcd, key, lambda record: held(record, arguments[1], time.time())))))
        elif arguments == ["release"]:
            print(json.dumps(asdict(written(etcd, key, lambda _: Record()))))
        elif arguments == ["state"]:
            print(json.dumps({**asdict(Record.read(etcd.get(key)[0])), "policy": settings["policy"]}))
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except OSError as reason:
        print(f"failback: {reason}", file=sys.stderr)
        return 1
    return 0

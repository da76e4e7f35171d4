"""Which slots serve, on this host.

    slots show                          the state as JSON
    slots render                        write the edge's backend; says "rendered" or "kept"
    slots intend (--version V|--slot S) can that release serve here? notes the intent; prints {"from", "to", "version"}
    slots weigh SLOT PERCENT LEASE_S    give a release that is being tried so much of the traffic; the lease over,
                                        it has none again; prints {"changed": bool}
    slots switch SLOT|none [--drop]     lead all traffic to the slot; with --drop also that of who would stay in a
                                        checkout; prints {"changed": bool}
    slots expire                        end a try whose lease is over; prints {"changed": bool}
    slots end                           end a try now; prints the same
    slots drain                         wait until slots without traffic have ended their requests; prints {"left": N}

intend, weigh, switch and end take --fence TOKEN: refused when a newer change has written here (docs/adr/0020).
Exit codes: 0 done, 1 not possible (nothing was changed), 2 bad usage.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from till_host.faults import Fault
from till_host.slots import edge, fence, haproxy
from till_host.slots import state as slots

READY_DEADLINE_S = 5
PROGRAM = "/opt/till-host/current/bin/slots"
TIMER = "till-slots-expire"


def target(state: dict[str, Any], version: str | None, slot: str | None) -> str:
    """The slot that is meant: of two with one version the one deployed last. Raises Fault."""
    if slot:
        if not state.get(slot):
            raise Fault(f"slot {slot} holds no release: till deploy")
        return slot
    holding = [one for one in slots.SLOTS if state[one] == version]
    if not holding:
        raise Fault(f"no slot holds {version} (blue: {state['blue']}, green: {state['green']}): till deploy")
    return str(state["latest"] if state["latest"] in holding else holding[0])


def intend(version: str | None, slot: str | None, token: int | None = None) -> dict[str, Any]:
    # A third of the time that this program takes to begin; who switches or takes back needs none of it.
    import urllib.error
    import urllib.request

    policy = slots.settings()
    with slots.locked():
        state = loaded(token)
        chosen = target(state, version, slot)
        url = f"http://127.0.0.1:{policy['ports'][chosen]}{state['checks'].get(chosen, policy['check_path'])}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                pass
        except (OSError, urllib.error.HTTPError) as reason:
            said = f"slot {chosen} ({state[chosen]}) does not answer {url}: {reason}"
            raise Fault(f"{said}; systemctl status app@{chosen}") from None
        if state["active"] != chosen:
            after = {**state, "intent": chosen}
            # From now on its token leads there, so that it can be tried before anybody else meets it.
            after["sticky"] = {**state["sticky"], chosen: [slots.CHECKOUT, slots.SHARED]}
            apply(state, after)
    return {
        "from": state["active"],
        "to": chosen,
        "version": state[chosen],
        "cookie": f"{policy['cookie']}={slots.token(state, chosen, slots.SHARED)}",
    }


def loaded(token: int | None) -> dict[str, Any]:
    """The state, for a change that has this token; a person at the host has none. Raises Fault for a late one."""
    state = slots.load()
    if token is None or state.get("fence") == token:
        return state
    fenced = fence.fenced(state, token)
    slots.save(fenced)
    return fenced


def weigh(slot: str, percent: int, lease_s: float, token: int | None = None) -> dict[str, Any]:
    with slots.locked():
        before = loaded(token)
        if not before[slot] or before["active"] in (None, slot):
            raise Fault(f"slot {slot} can't be tried beside {before['active'] or 'nothing'}: till deploy")
        arm(lease_s)
        up(slot)
        apply(before, slots.tried(before, slot, percent, lease_s))
    return {"changed": slots.shares(before)[slot] != percent}


def switch(slot: str | None, drop: bool = False, token: int | None = None) -> dict[str, Any]:
    with slots.locked():
        before = loaded(token)
        after = slots.led(before, slot, drop)
        if slot and not before[slot]:
            raise Fault(f"slot {slot} holds no release: till deploy")
        if slot and before["active"] != slot:
            up(slot)
        if before != after:
            apply(before, after)
    return {"changed": slots.shares(before) != slots.shares(after) or before["active"] != slot}


def expire() -> dict[str, Any]:
    """Whoever tried a release is gone: the old one serves. Before that time a timer is set: a reboot loses it."""
    with slots.locked():
        before = slots.load()
        if not before["canary"]:
            return {"changed": False}
        if (left_s := before["canary"]["until"] - time.time()) > 0:
            arm(left_s)
            return {"changed": False}
        return ended(before)


def end(token: int | None = None) -> dict[str, Any]:
    """The old release serves; what a change that was killed has left is no obstacle for the next one."""
    with slots.locked():
        before = loaded(token)
        return ended(before) if before["canary"] else {"changed": False}


def ended(before: dict[str, Any]) -> dict[str, Any]:
    after = slots.led(before, before["active"], True)
    slots.save(after)
    edge.render(after)
    if edge.runs():
        edge.tell(after)
    tried = before[before["canary"]["slot"]]
    print(f"slots: the try of {tried} is over, {after[after['active']]} serves", file=sys.stderr)
    return {"changed": True}


def arm(lease_s: float) -> None:
    """A timer of systemd's ends the try, whatever becomes of who began it."""
    subprocess.run(["/usr/bin/systemctl", "stop", f"{TIMER}-*.timer"], check=False, capture_output=True, timeout=20)
    # A name of its own: one that fires just now has its unit still.
    unit = f"--unit={TIMER}-{time.time_ns():x}"
    when = [f"--on-active={lease_s + 1:g}s", "--timer-property=AccuracySec=100ms"]
    command = ["/usr/bin/systemd-run", "--quiet", "--collect", unit, *when, PROGRAM, "expire"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise Fault(f"no timer would end the try ({done.stderr.strip()}): systemctl list-timers '{TIMER}-*'")


def up(slot: str) -> None:
    """Wait until HAProxy itself finds it up; raises Fault."""
    if not edge.runs():
        raise Fault("HAProxy does not run here: systemctl status haproxy")
    haproxy.tell(f"set server check_{slot}/{slot} state ready")
    deadline = time.monotonic() + READY_DEADLINE_S
    while not haproxy.server(slot)["status"].startswith(("UP", "DRAIN")):
        if time.monotonic() > deadline:
            said = f"HAProxy does not find slot {slot} up within {READY_DEADLINE_S} s"
            raise Fault(f"{said}: journalctl -u app@{slot}")
        time.sleep(0.05)


def apply(before: dict[str, Any], after: dict[str, Any]) -> None:
    """First what a restart of HAProxy would read, then the running one; both back when that one refuses."""
    slots.save(after)
    edge.render(after)
    try:
        edge.tell(after)
    except Fault:
        back = {**before, "intent": None}
        slots.save(back)
        edge.render(back)
        raise


def drain() -> dict[str, Any]:
    state = slots.load()
    quiet = [one for one in slots.SLOTS if not slots.shares(state)[one] and state[one]]
    return {"left": edge.drained(quiet)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("show", "render", "drain", "expire"):
        verbs.add_parser(name)
    intention = verbs.add_parser("intend")
    intention.add_argument("--version", default="")
    intention.add_argument("--slot", default="", choices=("", *slots.SLOTS))
    weighing = verbs.add_parser("weigh")
    weighing.add_argument("slot", choices=slots.SLOTS)
    weighing.add_argument("percent", type=int, choices=range(slots.FULL + 1), metavar="PERCENT")
    weighing.add_argument("lease_s", type=float, metavar="LEASE_S")
    switching = verbs.add_parser("switch")
    switching.add_argument("slot", choices=(*slots.SLOTS, "none"))
    switching.add_argument("--drop", action="store_true")
    for one in (intention, weighing, switching, verbs.add_parser("end")):
        one.add_argument("--fence", type=int, metavar="TOKEN")
    arguments = parser.parse_args()
    try:
        print(answer(arguments))
    except (Fault, OSError) as reason:
        print(f"slots: {reason}", file=sys.stderr)
        return 1
    return 0


def answer(arguments: argparse.Namespace) -> str:
    if arguments.verb == "render":
        with slots.locked():
            return "rendered" if edge.render(slots.load()) else "kept"
    if arguments.verb == "switch":
        return json.dumps(switch(None if arguments.slot == "none" else arguments.slot, arguments.drop, arguments.fence))
    if arguments.verb == "intend":
        return json.dumps(intend(arguments.version, arguments.slot, arguments.fence))
    if arguments.verb == "weigh":
        return json.dumps(weigh(arguments.slot, arguments.percent, arguments.lease_s, arguments.fence))
    if arguments.verb == "end":
        return json.dumps(end(arguments.fence))
    return json.dumps({"drain": drain, "expire": expire, "show": slots.load}[arguments.verb]())

#!/usr/bin/python3
"""Which slot serves, on this host.

    slots show                          the state as JSON
    slots render                        write the edge's backend; says "rendered" or "kept"
    slots intend (--version V|--slot S) can that release serve here? notes the intent; prints {"from", "to", "version"}
    slots switch SLOT|none              lead traffic to the slot; prints {"changed": bool}
    slots drain                         wait until slots without traffic have ended their requests; prints {"left": N}

Exit codes: 0 done, 1 not possible (nothing was changed), 2 bad usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import till_slots as slots

READY_DEADLINE_S = 5


def target(state: dict[str, Any], version: str | None, slot: str | None) -> str:
    """The slot that is meant: of two with one version the one deployed last. Raises Fault."""
    if slot:
        if not state.get(slot):
            raise slots.Fault(f"slot {slot} holds no release: till deploy")
        return slot
    holding = [one for one in slots.SLOTS if state[one] == version]
    if not holding:
        raise slots.Fault(f"no slot holds {version} (blue: {state['blue']}, green: {state['green']}): till deploy")
    return str(state["latest"] if state["latest"] in holding else holding[0])


def intend(version: str | None, slot: str | None, check: bool) -> dict[str, Any]:
    policy = slots.settings()
    with slots.locked():
        state = slots.load()
        chosen = target(state, version, slot)
        url = f"http://127.0.0.1:{policy['ports'][chosen]}{state['checks'].get(chosen, policy['check_path'])}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                pass
        except (OSError, urllib.error.HTTPError) as reason:
            said = f"slot {chosen} ({state[chosen]}) does not answer {url}: {reason}"
            raise slots.Fault(f"{said}; systemctl status storefront@{chosen}") from None
        if not check and state["active"] != chosen:
            slots.save({**state, "intent": chosen})
    return {"from": state["active"], "to": chosen, "version": state[chosen]}


def switch(slot: str | None) -> dict[str, Any]:
    with slots.locked():
        before = slots.load()
        after = {**before, "active": slot, "intent": None}
        if before["active"] == slot:
            if before != after:
                slots.save(after)
            return {"changed": False}
        if slot and not before[slot]:
            raise slots.Fault(f"slot {slot} holds no release: till deploy")
        # First what a restart of HAProxy would read, then the running one.
        slots.save(after)
        slots.render(after)
        try:
            lead(slot, before)
        except slots.Fault:
            slots.save({**before, "intent": None})
            slots.render(before)
            raise
    return {"changed": True}


def lead(slot: str | None, before: dict[str, Any]) -> None:
    """Give the slot the traffic in the running HAProxy, once HAProxy itself finds it up."""
    if not slot:
        slots.tell(f"set server storefront/{before['active']} weight 0")
        return
    slots.tell(f"set server check_{slot}/{slot} state ready")
    deadline = time.monotonic() + READY_DEADLINE_S
    while not slots.server(slot)["status"].startswith(("UP", "DRAIN")):
        if time.monotonic() > deadline:
            said = f"HAProxy does not find slot {slot} up within {READY_DEADLINE_S} s"
            raise slots.Fault(f"{said}: journalctl -u storefront@{slot}")
        time.sleep(0.05)
    commands = [f"set server storefront/{slot} weight {slots.WEIGHT}"]
    if before["active"]:
        commands.append(f"set server storefront/{before['active']} weight 0")
    slots.tell(*commands)


def drain() -> dict[str, Any]:
    state, deadline = slots.load(), time.monotonic() + slots.settings()["drain_s"]
    quiet = [one for one in slots.SLOTS if one != state["active"] and state[one]]
    while True:
        left = sum(int(slots.server(one)["scur"] or 0) for one in quiet)
        if left == 0 or time.monotonic() > deadline:
            return {"left": left}
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("show", "render", "drain"):
        verbs.add_parser(name)
    intention = verbs.add_parser("intend")
    intention.add_argument("--version", default="")
    intention.add_argument("--slot", default="", choices=("", *slots.SLOTS))
    intention.add_argument("--check", action="store_true")
    verbs.add_parser("switch").add_argument("slot", choices=(*slots.SLOTS, "none"))
    arguments = parser.parse_args()
    try:
        if arguments.verb == "render":
            with slots.locked():
                print("rendered" if slots.render(slots.load()) else "kept")
            return 0
        answer: dict[str, Any]
        if arguments.verb == "switch":
            answer = switch(None if arguments.slot == "none" else arguments.slot)
        elif arguments.verb == "intend":
            answer = intend(arguments.version, arguments.slot, arguments.check)
        else:
            answer = drain() if arguments.verb == "drain" else slots.load()
        print(json.dumps(answer))
    except (slots.Fault, OSError) as reason:
        print(f"slots: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Back to the release before, on every edge at once: what one edge can't do the others undo, and it is proven."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from till_host import ssh
from till_host.change_lock.client import Held
from till_host.faults import Fault, Waits
from till_host.release_watch import edges as road

STEP_S = 0.3
Watch = dict[str, Any]


class Superseded(Exception):
    """What serves is not what is watched: somebody else has moved the traffic."""


def look(watch: Watch, moving: bool) -> None:
    """Raises Waits where an edge can't be asked, Superseded where others serve or the old release is not there.

    `moving`: an attempt was cut off, so that edges may have been led back already.
    """
    told = ssh.at_once(watch["hosts"], road.show)
    if found := ssh.faults(told):
        raise Waits(found)
    for host, state in told.items():
        assert not isinstance(state, Fault)
        new, old = watch["hosts"][host]["new_slot"], watch["hosts"][host]["old_slot"]
        if state["active"] not in ((new, old) if moving else (new,)) or state[new] != watch["version"]:
            raise Superseded(f"{host} serves {state.get(state['active'] or '')} from {state['active']}")
        if state[old] != watch["old_version"]:
            raise Superseded(f"{host} has {state[old]} in the slot of {watch['old_version']}")


def back(watch: Watch, held: Held) -> float:
    """Lead all traffic to the old release; how long that took (s). Raises Fault, with the new one on every edge again
    unless it says that edges differ."""
    hosts, began = watch["hosts"], time.monotonic()
    held.check()
    told = ssh.at_once(hosts, lambda host: road.switch(host, hosts[host]["old_slot"], held.token))
    if found := ssh.faults(told):
        held.check()
        undone = ssh.at_once(hosts, lambda host: road.switch(host, hosts[host]["new_slot"], held.token))
        if second := ssh.faults(undone):
            raise Fault(f"edges differ now: {found}; and back: {second}")
        raise Fault(f"{found}; the other edges have undone it")
    return round(time.monotonic() - began, 2)


def proven(watch: Watch, served: Callable[[str], tuple[str | None, bool]], deadline_s: float) -> str:
    """Wait until every edge serves the old release and is well; "", or what does not hold at the deadline.

    `served`: an edge's version (None where it does not tell) and whether its health is good.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        wrong = []
        for host in watch["hosts"]:
            version, well = served(host)
            if watch["version_path"] and version != watch["old_version"]:
                wrong.append(f"{host} serves {version or 'no release'}")
            elif not well:
                wrong.append(f"{host} is not well")
        if not wrong or time.monotonic() > deadline:
            return "; ".join(wrong)
        time.sleep(STEP_S)

"""Take over releases that run under the names of before, without a pause.

    former-names

Version 1.0.0 called unit, user, files and backend `storefront`, whatever app it was; they are `app` now. A unit can't
be renamed while it runs, and a port is held by one program: each slot's release is started a second time on a port of
its own (app@SLOT-relay), HAProxy is led there, the unit of before ends its requests and stops, app@SLOT starts on the
slot's port, HAProxy is led back. Weights, tokens, the state of the slots and what is in them stay as they are.

One that was cut off is run again. Prints a line for each thing that it changed, and nothing where no name of before is
left. Exit codes: 0 done, 1 not possible (what served goes on serving), 2 bad usage.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from till_host import files
from till_host.faults import Fault
from till_host.slots import edge, haproxy, relay, units
from till_host.slots import state as slots

FORMER, NAME = "storefront", "app"
UNITS = Path("/etc/systemd/system")
RELOAD_DEADLINE_S, STEP_S = 20, 0.1
# Where HAProxy's settings name the backend; a shop may have that word in its own name.
BACKEND_NAMED = re.compile(rf"(^backend |nbsrv\(|default_backend |^# .*`){FORMER}\b", re.MULTILINE)


def take_over() -> list[str]:
    """Bring everything of this host under the names of today; raises Fault, OSError."""
    unit = UNITS / f"{FORMER}@.service"
    # Removed last: while it is there, something may be left to do.
    if not unit.exists():
        return []
    lay_down(unit)
    with slots.locked():
        state = slots.load()
        idle = slots.idle(state)
        # What fails with the idle one has met nobody.
        done = [line for slot in (idle, slots.other(idle)) for line in take_over_slot(slot, state)]
        done += rename_backend(state)
    return [*done, *remove(unit)]


def lay_down(unit: Path) -> None:
    """User, unit, settings and environments, beside those of before."""
    if not succeeds("/usr/bin/getent", "passwd", NAME):
        nowhere = ("--home-dir", "/nonexistent", "--no-create-home", "--shell", "/usr/sbin/nologin")
        run("/usr/sbin/useradd", "--system", "--user-group", *nowhere, NAME)
    files.replace(UNITS / f"{NAME}@.service", unit.read_text().replace(FORMER, NAME))
    if former_settings().exists():
        files.replace(slots.SETTINGS, former_settings().read_text())
    for path in former_environments():
        files.replace(path.with_name(path.name.replace(FORMER, NAME, 1)), path.read_text(), mode=0o600)
    run("/usr/bin/systemctl", "daemon-reload")


def former_settings() -> Path:
    return slots.SETTINGS.with_name(f"{FORMER}.json")


def former_environments() -> list[Path]:
    """What releases of before find in their environment."""
    return sorted(Path(units.ENVIRONMENT).parent.glob(f"{FORMER}-*.env"))


def take_over_slot(slot: str, state: dict[str, Any]) -> list[str]:
    """Have the slot's release run in the unit of today; its relay answers meanwhile."""
    former, unit, port = f"{FORMER}@{slot}.service", units.unit(slot), slots.settings()["ports"][slot]
    if units.systemctl("is-enabled", "-q", former) == 0 or units.runs(former):
        # First: whatever becomes of this, a host that starts anew starts the unit of today.
        units.systemctl("enable", unit)
        units.systemctl("disable", former)
    if units.runs(former):
        if state[slot] and edge.runs():
            relay.start(slot, state)
            relay.lead(backend_name(), slot, relay.port(slot))
            relay.wait_until_quiet(port)
        units.systemctl("stop", former)
    begins = bool(state[slot]) and units.systemctl("is-enabled", "-q", unit) == 0 and not units.runs(unit)
    # Also what runs already: nobody may have waited for it.
    if begins or (state[slot] and relay.runs(slot)):
        relay.begin(slot, port, slot, state)
    if relay.runs(slot):
        relay.lead(backend_name(), slot, port)
        relay.wait_until_quiet(relay.port(slot))
    relay.stop(slot)
    return [f"{former} is {unit}"] if begins else []


def backend_name() -> str:
    """As the running HAProxy has it."""
    return FORMER if haproxy.servers(FORMER) else NAME


def rename_backend(state: dict[str, Any]) -> list[str]:
    """Give the backend its name of today, in HAProxy's settings and in the running one; raises Fault."""
    before = {path: path.read_text() for path in (edge.EDGE / "haproxy.cfg", edge.BACKEND) if path.exists()}
    named = {path: with_backend_renamed(text) for path, text in before.items()}
    for path, text in named.items():
        files.replace(path, text)
    read = [word for path in named for word in ("-f", str(path))]
    if before != named and not succeeds("/usr/sbin/haproxy", "-c", "-q", *read):
        for path, text in before.items():
            files.replace(path, text)
        raise Fault(f"HAProxy refuses its settings with the backend {NAME}; they are as before")
    if edge.runs() and backend_name() == FORMER:
        run("/usr/bin/systemctl", "reload", "haproxy.service")
        wait_for_backend()
        # A try may have ended since the programs of today were laid down, which name the backend as it is now.
        edge.tell(state)
    return [f"backend {FORMER} is {NAME}"] if before != named else []


def wait_for_backend() -> None:
    """Until HAProxy's new process answers; raises Fault."""
    deadline = time.monotonic() + RELOAD_DEADLINE_S
    while not haproxy.servers(NAME):
        if time.monotonic() > deadline:
            said = f"HAProxy has no backend {NAME} {RELOAD_DEADLINE_S} s after its reload"
            raise Fault(f"{said}: journalctl -u haproxy")
        time.sleep(STEP_S)


def with_backend_renamed(text: str) -> str:
    """HAProxy's settings with the backend's name of today. Pure."""
    return BACKEND_NAMED.sub(rf"\g<1>{NAME}", text)


def remove(unit: Path) -> list[str]:
    """Remove what had the names of before; the template of the unit last."""
    for slot in slots.SLOTS:
        units.systemctl("reset-failed", f"{FORMER}@{slot}.service")
    former = [former_settings(), *former_environments(), *sorted(relay.CACHES.glob(f"{FORMER}-*"))]
    removed = [path for path in former if path.exists()]
    for path in removed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if succeeds("/usr/bin/getent", "passwd", FORMER):
        run("/usr/sbin/userdel", FORMER)
    unit.unlink()
    run("/usr/bin/systemctl", "daemon-reload")
    return [f"removed {path}" for path in (*removed, unit)]


def succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


def run(*command: str) -> None:
    """Raises Fault."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Fault(f"{' '.join(command)}: {done.stderr.strip() or f'ended with {done.returncode}'}")


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        done = take_over()
    except (Fault, OSError, subprocess.SubprocessError) as reason:
        print(f"former-names: {reason}", file=sys.stderr)
        return 1
    print("\n".join(done), end="\n" if done else "")
    return 0

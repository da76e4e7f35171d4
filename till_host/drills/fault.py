"""Break this host for a while, as a drill wants it; what is broken heals by itself when its time is over.

    fault begin KIND --for SECONDS    host-kill, site-partition, db-kill, edge-kill or dns-kill
    fault heal                        everything as it was; also where nothing is broken
    fault status                      one JSON object: the fault that stands or null, and whether a restore is under way
    fault hold                        at boot: silence until the time of a host-kill is over

Before anything breaks a timer that heals it is armed, and then one line of JSON says that it begins now. A host-kill
takes the timer along: the unit till-fault-hold is in its place at the next boot. Ends with 1 and a sentence.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from till_host import files
from till_host.faults import Fault

POLICY = Path("/etc/till/faults.json")
STATE = Path("/var/lib/till/fault.json")
LOCK = Path("/run/till-fault.lock")
RESTORING = Path("/var/lib/till/restoring")
MASKS = Path("/run/systemd/system")
TIMER = "till-fault-heal"
TABLE = "till_fault"
# Kinds that keep a service from running.
SERVICES = {"edge-kill": "haproxy.service", "dns-kill": "pdns.service"}
KINDS = ("host-kill", "site-partition", "db-kill", *SERVICES)
RB_AUTOBOOT = 0x01234567
# So that the line that says "now" is on its way before the host dies.
LAST_WORDS_S = 0.2
COMMAND_TIMEOUT_S = 20


def run(*argv: str, stdin: str = "", check: bool = True) -> int:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if check and done.returncode != 0:
        raise Fault(f"{' '.join(argv[:3])}: {done.stderr.strip()[-300:]}")
    return done.returncode


def read() -> dict[str, Any] | None:
    """The fault that stands: kind, for_s, until (s since the epoch)."""
    try:
        found: dict[str, Any] = json.loads(STATE.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def rules(peers: list[str]) -> str:
    """nft's script for silence: nothing comes in or goes out but on loopback and between these addresses. Pure."""
    lines = [f"table inet {TABLE} {{"]
    for hook, side, device in (("input", "saddr", "iif"), ("output", "daddr", "oif"), ("forward", "saddr", "iif")):
        lines += [f"chain {hook} {{", f"type filter hook {hook} priority -300; policy accept;", f"{device} lo accept"]
        lines += [f"ip {side} {{ {', '.join(peers)} }} accept"] if peers else []
        lines += ["drop", "}"]
    return "\n".join([*lines, "}", ""])


def silence(peers: list[str]) -> None:
    run("/usr/sbin/nft", "-f", "-", stdin=rules(peers))


def kill_database() -> None:
    """SIGKILL for Patroni's postmaster and all its children, in the order in which they began."""
    victims = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, group = (folder / "comm").read_text(), (folder / "cgroup").read_text()
        except OSError:
            continue
        if command == "postgres\n" and "/patroni.service" in group:
            victims.append(int(folder.name))
    if not victims:
        raise Fault("no PostgreSQL of Patroni's runs here")
    for victim in sorted(victims):
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_service(unit: str) -> None:
    """SIGKILL, and nothing starts it again: the mask is in memory, a reboot forgets it."""
    run("systemctl", "mask", "--runtime", "--quiet", unit)
    run("systemctl", "kill", "--kill-whom=all", "--signal=KILL", unit)


def kill_host() -> None:
    """reboot(2) itself: no sync, no process hears of it. In a container it ends the container's init."""
    time.sleep(LAST_WORDS_S)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.reboot(RB_AUTOBOOT)
    raise Fault(f"the kernel does not reboot: {os.strerror(ctypes.get_errno())}")


def begin(kind: str, for_s: int) -> None:
    policy = json.loads(POLICY.read_text())
    if not 0 < for_s <= policy["duration_max_s"]:
        raise Fault(f"a fault lasts from 1 to {policy['duration_max_s']} s (policy: faults_duration_max_s)")
    if standing := read():
        raise Fault(f"{standing['kind']} stands already; it heals by itself, or by: fault heal")
    if RESTORING.exists():
        raise Fault("a restore is under way on this host")
    if kind in SERVICES and run("systemctl", "is-active", "--quiet", SERVICES[kind], check=False) != 0:
        raise Fault(f"{SERVICES[kind]} does not run on this host")
    run("systemctl", "stop", f"{TIMER}.timer", check=False)
    run(
        "systemd-run", "--quiet", "--collect", f"--unit={TIMER}", f"--on-active={for_s}s",
        "--timer-property=AccuracySec=100ms", "--property=Restart=on-failure", "--property=RestartSec=1",
        "/opt/till-host/current/bin/fault", "heal",
    )  # fmt: skip
    # The next thing may be a power cut.
    files.replace(STATE, json.dumps({"kind": kind, "for_s": for_s, "until": time.time() + for_s}))
    print(json.dumps({"begins": kind, "for_s": for_s}), flush=True)
    try:
        if kind == "host-kill":
            kill_host()
        elif kind == "site-partition":
            silence(policy["site_addresses"])
        elif kind == "db-kill":
            kill_database()
        else:
            kill_service(SERVICES[kind])
    except BaseException:
        heal()
        raise


def heal() -> None:
    if run("/usr/sbin/nft", "list", "table", "inet", TABLE, check=False) == 0:
        run("/usr/sbin/nft", "delete", "table", "inet", TABLE)
    for unit in SERVICES.values():
        if (MASKS / unit).is_symlink():
            run("systemctl", "unmask", "--runtime", "--quiet", unit)
            run("systemctl", "reset-failed", unit, check=False)
            run("systemctl", "start", unit)
    STATE.unlink(missing_ok=True)
    run("systemctl", "stop", f"{TIMER}.timer", check=False)


def hold() -> None:
    """A clock that jumped back can't make it longer than it was meant to be."""
    state = read()
    left_s = min(state["until"] - time.time(), state["for_s"]) if state and state["kind"] == "host-kill" else 0
    if left_s > 0:
        silence([])
        time.sleep(left_s)
    heal()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    breaks = commands.add_parser("begin")
    breaks.add_argument("kind", choices=KINDS)
    breaks.add_argument("--for", dest="for_s", type=int, required=True, metavar="SECONDS")
    for name in ("heal", "status", "hold"):
        commands.add_parser(name)
    arguments = parser.parse_args()
    try:
        if arguments.command == "status":
            print(json.dumps({"fault": read(), "restoring": RESTORING.exists()}))
            return 0
        if arguments.command == "hold":
            hold()
            return 0
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if arguments.command == "begin":
                begin(arguments.kind, arguments.for_s)
            else:
                heal()
                print(json.dumps({"healed": True}))
    except (Fault, OSError, subprocess.TimeoutExpired) as reason:
        print(f"fault: {reason}", file=sys.stderr)
        return 1
    return 0

"""Bring a release into the idle slot of this host. No traffic moves.

    release plan VERSION DIGEST SHA256 SIZE_BYTES   which slot, what is to do, is there room; prints
                                                    {"deploy": bool, "upload": bool, "slot", "port",
                                                    "environment": file that the slot's is read from}
    release unpack VERSION                          check and unpack /srv/till/incoming/VERSION.tar.gz.partial
    release migrate VERSION                         run its migration; its environment is that of a slot (deploy.yml)
    release start SLOT VERSION DIGEST               start it and wait for its health

What is unpacked and started is what the release's manifest says, /srv/till/manifests/VERSION.json, and only while the
stack's key signed it (till_signature.py).

Exit codes: 0 done, 1 not possible (the serving slot is untouched), 2 bad usage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from till_host import files
from till_host.faults import Fault
from till_host.slots import edge, signature, units
from till_host.slots import state as slots

ROOT = Path("/srv/till")


def release_folder(version: str) -> Path:
    return ROOT / "releases" / version


def has_release(version: str, sha256: str) -> bool:
    mark = release_folder(version) / ".till-sha256"
    return mark.exists() and mark.read_text() == sha256


def plan(version: str, digest: str, sha256: str, size_bytes: int) -> dict[str, Any]:
    """What a deploy has to do here; raises Fault when there is no room for it."""
    state = slots.load()
    for slot in (state["active"], slots.idle(state)):
        same = slot and state[slot] == version and state["digests"].get(slot) == digest
        if same and units.systemctl("is-active", "-q", units.unit(slot)) == 0:
            return {"deploy": False, "upload": False, **place(slot)}
    slot, upload = slots.idle(state), not has_release(version, sha256)
    if upload:
        room(size_bytes)
    return {"deploy": True, "upload": upload, **place(slot)}


def place(slot: str) -> dict[str, Any]:
    """What a deploy has to know of a slot; programs of another version than its own name other files."""
    port = slots.settings()["ports"][slot]
    return {"slot": slot, "port": port, "environment": units.ENVIRONMENT.format(slot=slot)}


def room(size_bytes: int) -> None:
    needed = size_bytes * slots.settings()["space_factor"]
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise Fault(
            f"no room on {socket.gethostname()}: {ROOT} has {free >> 20} MiB free, "
            f"a release of {size_bytes >> 20} MiB needs {needed >> 20} MiB; "
            f"make room (du -xsh {ROOT}/releases/*), then deploy again"
        )


def unpack(version: str) -> dict[str, Any]:
    """Check the uploaded artefact and put the release in place in one step."""
    partial = ROOT / "incoming" / f"{version}.tar.gz.partial"
    try:
        sha256 = signature.manifest(ROOT, version)["sha256"]
        with partial.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise Fault(f"{partial} has sha256 {found}, the signed manifest says {sha256}: deploy again")
        fresh = ROOT / "releases" / f".{version}.unpacking"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o755)
        with tarfile.open(partial) as archive:
            # Built by Till and checked by its hash; a filter exists from Python 3.11.4 on only.
            archive.extractall(fresh)  # noqa: S202
        # The application's user reads what root unpacked, and can change none of it.
        subprocess.run(["/usr/bin/chown", "-R", "root:root", str(fresh)], check=True)
        subprocess.run(["/usr/bin/chmod", "-R", "u+rwX,go+rX,go-w", str(fresh)], check=True)
        (fresh / ".till-sha256").write_text(sha256)
        os.sync()
        retire(release_folder(version))
        files.move(fresh, release_folder(version))
    except OSError as reason:
        shutil.rmtree(ROOT / "releases" / f".{version}.unpacking", ignore_errors=True)
        raise Fault(f"{version} can't be unpacked on {socket.gethostname()}: {reason}; df -h {ROOT}") from None
    finally:
        partial.unlink(missing_ok=True)
    return {"unpacked": version}


def retire(folder: Path) -> None:
    """Make room for a rebuilt release of one name; a slot that runs the old one is pointed to its new place."""
    if not folder.exists():
        return
    old = folder.with_name(f"{folder.name}.{int(time.time())}")
    files.move(folder, old)
    for slot in slots.SLOTS:
        link = ROOT / "slots" / slot
        if link.is_symlink() and link.readlink() == folder:
            files.point(link, old)


def checked(version: str) -> dict[str, Any]:
    """The signed manifest of what lies unpacked here; raises Fault."""
    manifest = signature.manifest(ROOT, version)
    if not has_release(version, manifest["sha256"]):
        raise Fault(
            f"{release_folder(version)} on {socket.gethostname()} is not what {version}'s signed manifest says: "
            f"rm -r {release_folder(version)}, then deploy again"
        )
    return manifest


def program(name: str, lines: str) -> Path:
    """What a unit runs: the release's own command."""
    path = ROOT / "start" / name
    files.replace(path, f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def migrate(version: str) -> dict[str, Any]:
    """Before anything of it starts; raises Fault with its last lines where it does not end well."""
    command = checked(version).get("migrate") or ""
    began = time.monotonic()
    if not command:
        return {"migrated": False}
    # Several commands are one that fails where one of them does.
    if reason := units.migrated(release_folder(version), program(units.MIGRATE, f"set -e\n{command}")):
        raise Fault(f"the migration of {version} on {socket.gethostname()} {reason}")
    return {"migrated": True, "migrate_s": round(time.monotonic() - began, 1)}


def start(slot: str, version: str, digest: str) -> dict[str, Any]:
    """Start the release in a slot that serves nobody; a slot that does not get healthy is stopped again."""
    manifest = checked(version)
    with slots.locked():
        state = slots.load()
        if slots.shares(state)[slot]:
            raise Fault(f"slot {slot} serves traffic: deploy again")
        began = time.monotonic()
        state[slot] = None
        for known in (state["digests"], state["sticky"]):
            known.pop(slot, None)
        edge.record(state, slot)
        if edge.runs():
            edge.drained([slot])
        units.systemctl("stop", units.unit(slot))
        files.point(ROOT / "slots" / slot, release_folder(version))
        program(slot, f"exec {manifest['start']}")
        units.systemctl("reset-failed", units.unit(slot))
        units.systemctl("enable", units.unit(slot))
        since = time.time()
        units.systemctl("start", "--no-block", units.unit(slot))
        port, deadline_s = slots.settings()["ports"][slot], slots.settings()["start_deadline_s"]
        reason = units.healthy(slot, f"http://127.0.0.1:{port}{manifest['health_path']}", deadline_s)
        if reason:
            units.systemctl("disable", "--now", units.unit(slot))
            reason_lines = units.journal(units.unit(slot), slot, since)
            # What failed is told here; a failed unit left behind would hide the next one that fails.
            units.systemctl("reset-failed", units.unit(slot))
            where = f"{version} in slot {slot} on {socket.gethostname()}"
            raise Fault(f"{where} {reason}; last lines of {units.unit(slot)}:\n{reason_lines}")
        state[slot], state["latest"] = version, slot
        state["metrics"][slot] = manifest.get("metrics_path") or ""
        state["checks"][slot] = manifest.get("version_path") or manifest["health_path"]
        state["assets"][slot] = manifest.get("assets_path") or ""
        state["digests"][slot] = digest
        edge.record(state, slot)
        prune(state)
    return {"started": version, "slot": slot, "healthy_s": round(time.monotonic() - began, 1)}


def prune(state: dict[str, Any]) -> None:
    """Keep all that a slot points to, and of what served well and was not taken back the last ones.

    Releases that never served, however many and new, push none of those out.
    """
    used = {(ROOT / "slots" / slot).resolve() for slot in slots.SLOTS}
    served = [one for one in map(release_folder, reversed(state["served"])) if one not in used and one.is_dir()]
    kept = used | set(served[: slots.settings()["releases_kept"]])
    for old in set((ROOT / "releases").iterdir()) - kept:
        shutil.rmtree(old, ignore_errors=True)
    for file in (ROOT / "manifests").iterdir():
        if not release_folder(file.name.removesuffix(".sig").removesuffix(".json")).exists():
            file.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    arguments = {
        "plan": "version digest sha256 size_bytes",
        "unpack": "version",
        "migrate": "version",
        "start": "slot version digest",
    }
    for name, words in arguments.items():
        one = verbs.add_parser(name)
        for word in words.split():
            one.add_argument(word)
    given = vars(parser.parse_args())
    name = given.pop("verb")
    try:
        if name == "plan":
            given["size_bytes"] = int(given["size_bytes"])
        done: dict[str, Callable[..., Any]] = {"plan": plan, "unpack": unpack, "migrate": migrate, "start": start}
        print(json.dumps(done[name](**given)))
    except (Fault, OSError) as reason:
        print(f"release: {reason}", file=sys.stderr)
        return 1
    return 0

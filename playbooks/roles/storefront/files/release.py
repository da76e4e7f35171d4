#!/usr/bin/python3
"""Bring a release into the idle slot of this host. No traffic moves.

    release plan VERSION DIGEST SHA256 SIZE_BYTES   which slot, what is to do, is there room; prints
                                                    {"deploy": bool, "upload": bool, "slot", "port"}
    release unpack VERSION                          check and unpack /srv/till/incoming/VERSION.tar.gz.partial
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
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import till_backend as edge
import till_signature as signature
import till_slots as slots

ROOT = Path("/srv/till")
ENVIRONMENT = "/etc/till/env/storefront-{slot}.env"
SECRET_WORDS = ("SECRET", "TOKEN", "KEY", "PASSWORD", "DSN")
STEP_S = 0.1


def release_folder(version: str) -> Path:
    return ROOT / "releases" / version


def unit(slot: str) -> str:
    return f"storefront@{slot}.service"


def systemctl(*arguments: str) -> int:
    return subprocess.run(["/usr/bin/systemctl", *arguments], check=False, capture_output=True, timeout=90).returncode


def has_release(version: str, sha256: str) -> bool:
    mark = release_folder(version) / ".till-sha256"
    return mark.exists() and mark.read_text() == sha256


def plan(version: str, digest: str, sha256: str, size_bytes: int) -> dict[str, Any]:
    """What a deploy has to do here; raises Fault when there is no room for it."""
    state = slots.load()
    for slot in (state["active"], slots.idle(state)):
        same = slot and state[slot] == version and state["digests"].get(slot) == digest
        if same and systemctl("is-active", "-q", unit(slot)) == 0:
            return {"deploy": False, "upload": False, "slot": slot, "port": slots.settings()["ports"][slot]}
    slot, upload = slots.idle(state), not has_release(version, sha256)
    if upload:
        room(size_bytes)
    return {"deploy": True, "upload": upload, "slot": slot, "port": slots.settings()["ports"][slot]}


def room(size_bytes: int) -> None:
    needed = size_bytes * slots.settings()["space_factor"]
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise slots.Fault(
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
            raise slots.Fault(f"{partial} has sha256 {found}, the signed manifest says {sha256}: deploy again")
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
        fresh.replace(release_folder(version))
    except OSError as reason:
        shutil.rmtree(ROOT / "releases" / f".{version}.unpacking", ignore_errors=True)
        raise slots.Fault(f"{version} can't be unpacked on {socket.gethostname()}: {reason}; df -h {ROOT}") from None
    finally:
        partial.unlink(missing_ok=True)
    return {"unpacked": version}


def retire(folder: Path) -> None:
    """Make room for a rebuilt release of one name; a slot that runs the old one is pointed to its new place."""
    if not folder.exists():
        return
    old = folder.with_name(f"{folder.name}.{int(time.time())}")
    folder.rename(old)
    for slot in slots.SLOTS:
        link = ROOT / "slots" / slot
        if link.is_symlink() and link.readlink() == folder:
            point(link, old)


def point(link: Path, goal: Path) -> None:
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(goal)
    fresh.replace(link)


def start(slot: str, version: str, digest: str) -> dict[str, Any]:
    """Start the release in a slot that serves nobody; a slot that does not get healthy is stopped again."""
    manifest = signature.manifest(ROOT, version)
    if not has_release(version, manifest["sha256"]):
        raise slots.Fault(
            f"{release_folder(version)} on {socket.gethostname()} is not what {version}'s signed manifest says: "
            f"rm -r {release_folder(version)}, then deploy again"
        )
    with slots.locked():
        state = slots.load()
        if slots.shares(state)[slot]:
            raise slots.Fault(f"slot {slot} serves traffic: deploy again")
        began = time.monotonic()
        state[slot] = None
        for known in (state["digests"], state["sticky"]):
            known.pop(slot, None)
        edge.record(state, slot)
        systemctl("stop", unit(slot))
        point(ROOT / "slots" / slot, release_folder(version))
        program = ROOT / "start" / slot
        slots.write(program, f"#!/bin/sh\nexec {manifest['start']}\n")
        program.chmod(0o755)
        systemctl("reset-failed", unit(slot))
        systemctl("enable", unit(slot))
        since = time.time()
        systemctl("start", "--no-block", unit(slot))
        port, deadline_s = slots.settings()["ports"][slot], slots.settings()["start_deadline_s"]
        reason = healthy(slot, f"http://127.0.0.1:{port}{manifest['health_path']}", deadline_s)
        if reason:
            systemctl("disable", "--now", unit(slot))
            reason_lines = journal(slot, since)
            # What failed is told here; a failed unit left behind would hide the next one that fails.
            systemctl("reset-failed", unit(slot))
            where = f"{version} in slot {slot} on {socket.gethostname()}"
            raise slots.Fault(f"{where} {reason}; last lines of {unit(slot)}:\n{reason_lines}")
        state[slot], state["latest"] = version, slot
        state["metrics"][slot] = manifest.get("metrics_path") or ""
        state["checks"][slot] = manifest.get("version_path") or manifest["health_path"]
        state["digests"][slot] = digest
        edge.record(state, slot)
        prune(state)
    return {"started": version, "slot": slot, "healthy_s": round(time.monotonic() - began, 1)}


def healthy(slot: str, url: str, deadline_s: float) -> str:
    """Empty when the slot answered 200 in time, else why not."""
    deadline, seen = time.monotonic() + deadline_s, "no answer yet"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return ""
        except urllib.error.HTTPError as reason:
            seen = f"status {reason.code} {reason.read(300).decode(errors='replace')}"
        except OSError as reason:
            seen = str(getattr(reason, "reason", reason))
        if systemctl("is-failed", "-q", unit(slot)) == 0:
            return "ended at once"
        time.sleep(STEP_S)
    return f"was not healthy within {deadline_s} s ({url}: {seen})"


def journal(slot: str, since: float) -> str:
    """Last lines of the unit, without the values of the slot's secrets."""
    lines = str(slots.settings()["journal_lines"])
    command = ["/usr/bin/journalctl", "-u", unit(slot), "-n", lines, "-o", "cat", "--no-pager", f"--since=@{since:.0f}"]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in Path(ENVIRONMENT.format(slot=slot)).read_text().splitlines():
        key, _, quoted = line.partition("=")
        value = quoted.strip('"')
        # NODE_EXTRA_CA_CERTS and its like are paths, not secrets.
        if value and any(word in key for word in SECRET_WORDS) and not value.startswith("/etc/"):
            text = text.replace(value, "[REDACTED]")
    return text.strip() or "(none)"


def prune(state: dict[str, Any]) -> None:
    """Keep the newest releases and all that a slot points to."""
    used = {(ROOT / "slots" / slot).resolve() for slot in slots.SLOTS}
    unused = [one for one in (ROOT / "releases").iterdir() if one not in used]
    for old in sorted(unused, key=lambda one: one.stat().st_mtime, reverse=True)[slots.settings()["releases_kept"] :]:
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
            answer = plan(**{**given, "size_bytes": int(given["size_bytes"])})
        elif name == "unpack":
            answer = unpack(**given)
        else:
            answer = start(**given)
        print(json.dumps(answer))
    except (slots.Fault, OSError) as reason:
        print(f"release: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

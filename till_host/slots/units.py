"""The units that releases run in: asked, waited for, and what they said when something went wrong."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from till_host.slots import state as slots

ENVIRONMENT = "/etc/till/env/app-{slot}.env"
SECRET_WORDS = ("SECRET", "TOKEN", "KEY", "PASSWORD", "DSN")
STEP_S = 0.1
# A migration's environment is written like a slot's, under this name.
MIGRATE, MIGRATION = "migrate", "till-migrate.service"
# As a release itself: app@.service.j2 (a test holds both equal).
CONFINED = (
    "User=app", "Group=app", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes",
    "PrivateTmp=yes", "PrivateDevices=yes", "ProtectKernelTunables=yes", "ProtectKernelModules=yes",
    "ProtectControlGroups=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes",
    "InaccessiblePaths=-/etc/till/credentials -/etc/till/env", "CapabilityBoundingSet=", "UMask=0077",
)  # fmt: skip


def unit(slot: str) -> str:
    return f"app@{slot}.service"


def systemctl(*arguments: str) -> int:
    return subprocess.run(["/usr/bin/systemctl", *arguments], check=False, capture_output=True, timeout=90).returncode


def runs(name: str) -> bool:
    return systemctl("is-active", "-q", name) == 0


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


def migrated(folder: Path, program: Path) -> str:
    """Empty when a release's migration ended well, else why not. A lost connection does not end it."""
    policy, since = slots.settings(), time.time()
    properties = [
        *CONFINED,
        f"EnvironmentFile={ENVIRONMENT.format(slot=MIGRATE)}",
        f"Environment=PATH={search_path(policy['runtime_path'])}",
        f"WorkingDirectory={folder}",
        f"MemoryMax={policy['memory_max_mb']}M",
        f"RuntimeMaxSec={policy['migrate_deadline_s']}",
    ]
    run = ["/usr/bin/systemd-run", "--quiet", "--wait", "--collect", f"--unit={MIGRATION}"]
    asked = [*run, *(f"--property={one}" for one in properties), str(program)]
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    said = done.stderr.strip() or f"ended with {done.returncode}"
    return f"failed ({said}); nothing was started; last lines of {MIGRATION}:\n{journal(MIGRATION, MIGRATE, since)}"


def search_path(runtime_path: str) -> str:
    """PATH of a release; an empty part of it would be the folder that it runs in."""
    return ":".join(one for one in (runtime_path, "/usr/local/bin", "/usr/bin", "/bin") if one)


def environment(slot: str) -> dict[str, str]:
    """What the release in a slot has in its environment; deploy.yml writes it for systemd (slot.env.j2)."""
    lines = Path(ENVIRONMENT.format(slot=slot)).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {key: quoted[1:-1].replace('\\"', '"').replace("\\\\", "\\") for key, _, quoted in pairs}


def journal(name: str, slot: str, since: float) -> str:
    """Last lines of the unit, without the values of the slot's secrets."""
    # With --since its own -n would count from there on.
    command = ["/usr/bin/journalctl", "-u", name, "-o", "cat", "--no-pager", f"--since=@{int(since)}"]
    # What was said last may still be on its way.
    subprocess.run(["/usr/bin/journalctl", "--sync"], check=False, capture_output=True)
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    text = "\n".join(said[-slots.settings()["journal_lines"] :])
    for key, value in environment(slot).items():
        # NODE_EXTRA_CA_CERTS and its like are paths, not secrets.
        if value and any(word in key for word in SECRET_WORDS) and not value.startswith("/etc/"):
            text = text.replace(value, "[REDACTED]")
    return text.strip() or "(none)"

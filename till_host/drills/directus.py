"""A Directus of the drill's own on the restored database: it must serve every order."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from till_host.faults import Fault

# VARIABLE=value lines, root's alone: the secrets that the data was written with.
ENVIRONMENT = Path("/etc/till/env/drill-directus.env")
TOKEN = Path("/etc/till/credentials/drill_directus_token")
LOG = Path("/var/log/till-drill-directus.log")


def serves(rules: dict[str, Any], expected: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    """Start it, count and read the orders through its API, stop it. Returns ready_s, orders; Fault when it does not."""
    directus = rules["directus"]
    wanted = int(expected[directus["database"]][f"public.{directus['collection']}"][0])
    user = pwd.getpwnam("postgres")
    given = dict(line.split("=", 1) for line in ENVIRONMENT.read_text().splitlines() if "=" in line and line[0] != "#")
    began = time.monotonic()
    with LOG.open("w") as log:
        process = subprocess.Popen(
            [directus["node"], directus["start"]],
            env={"PATH": os.defpath, **given},
            cwd=rules["folder"], user=user.pw_uid, group=user.pw_gid, extra_groups=[],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            ready(process, directus)
            ready_s = time.monotonic() - began
            collection = directus["collection"]
            count = ask(directus, f"/items/{collection}?aggregate[count]=*")[0]["count"]
            rows = ask(directus, f"/items/{collection}?limit=100")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=15)
    if int(count) != wanted or (wanted and not rows):
        raise Fault(f"Directus serves {count} {collection} of the restored database, its source held {wanted}")
    return {"ready_s": round(ready_s, 2), "orders": int(count), "read": len(rows)}


def ready(process: subprocess.Popen[bytes], directus: dict[str, Any]) -> None:
    deadline = time.monotonic() + directus["start_timeout_s"]
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Fault(f"Directus ended with {process.returncode}: {' '.join(LOG.read_text().split())[-600:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{directus['port']}/server/ping", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise Fault(
        f"Directus is not ready after {directus['start_timeout_s']} s: {' '.join(LOG.read_text().split())[-600:]}"
    )


def ask(directus: dict[str, Any], path: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{directus['port']}{path}", headers={"Authorization": f"Bearer {TOKEN.read_text().strip()}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return list(json.load(answer)["data"])
    except urllib.error.HTTPError as reason:
        raise Fault(f"Directus answers {path} with {reason.code}") from None

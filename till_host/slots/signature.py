"""What a release's signed manifest says. Nothing that the stack's key did not sign is unpacked or started here."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

from till_host.faults import Fault

KEY = Path("/etc/till/release-key.pem")
OPENSSL_TIMEOUT_S = 20


def manifest(root: Path, version: str) -> dict[str, Any]:
    """The manifest of a version, read once its bytes were found to be signed; raises Fault."""
    path = root / "manifests" / f"{version}.json"
    signature = path.with_name(f"{path.name}.sig")
    here = socket.gethostname()
    for needed, following in ((KEY, "till provision"), (path, "deploy again"), (signature, "deploy again")):
        if not needed.is_file():
            raise Fault(f"{needed} is not on {here}, so nothing vouches for {version}: {following}")
    # OpenSSL reads a signature from a file only, and the message of this algorithm, too.
    command = ["/usr/bin/openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(KEY)]
    command += ["-in", str(path), "-sigfile", str(signature)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=OPENSSL_TIMEOUT_S, check=False)
    if said.returncode != 0:
        raise Fault(
            f"the manifest of {version} on {here} is not signed by the key in {KEY} ({_why(said)}): "
            "till provision if the stack's key is new, till release build if the release is older than it"
        )
    told = dict(json.loads(path.read_text()))
    if told["version"] != version:
        raise Fault(f"{path} on {here} is the manifest of {told['version']}: deploy again")
    return told


def _why(said: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (said.stdout + said.stderr).splitlines() if line.strip()]
    return lines[0] if lines else f"openssl ended with {said.returncode}"

"""What a build finds on this machine: an environment cut to what is allowed, and the tools of the app's runtime."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

from till.environment import environment
from till.errors import UsageError
from tools import go, paths
from tools.command import output
from tools.failure import StepFailed

# A build fetches packages: through the machine's proxy, trusting the roots that the machine trusts.
NETWORK_ENVIRONMENT = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "GOPROXY", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "SSL_CERT_DIR", "SSL_CERT_FILE",
)  # fmt: skip


def build_environment(runtime: str) -> dict[str, str]:
    """What a build sees of this machine; raises UsageError when its runtime is not set up."""
    network = {name: os.environ[name] for name in NETWORK_ENVIRONMENT if name in os.environ}
    allowed = {**environment(), **network, "CI": "true"}
    if runtime.startswith("nodejs"):
        node = _node(runtime)
        allowed |= _first(node / "bin", allowed)
        allowed |= {"npm_config_nodedir": str(node), "NEXT_TELEMETRY_DISABLED": "1"}
    elif runtime == "go":
        # Another Go than the one that the manifest names must not be fetched on the way.
        allowed |= {**_first(_go().parent, allowed), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    return allowed


def versions(runtime: str) -> dict[str, str]:
    """The tools that a build of this runtime uses, by name, as they call themselves."""
    if runtime.startswith("nodejs"):
        return {"node": _told(_node(runtime) / "bin" / "node", "--version").removeprefix("v")}
    if runtime == "go":
        return {"go": _told(_go(), "env", "GOVERSION").removeprefix("go")}
    return {}


def _node(runtime: str) -> Path:
    node = paths.node_tree()
    if not (node / "bin" / "node").exists():
        raise UsageError(f"{runtime} is not set up: there is no {node}/bin/node", "make tools")
    return node


def _go() -> Path:
    log = io.StringIO()
    try:
        program = shutil.which(go.program(log))
    except StepFailed as reason:
        raise UsageError(f"go is not set up: {reason}", "make tools") from None
    if program is None:
        raise UsageError("go is not set up: the pinned one does not run", "make tools")
    return Path(program)


def _told(program: Path, *arguments: str) -> str:
    told = output([program, *arguments])
    if not told:
        raise UsageError(f"{program} does not tell its version", f"{program} {' '.join(arguments)}")
    return told.strip()


def _first(folder: Path, allowed: dict[str, str]) -> dict[str, str]:
    return {"PATH": f"{folder}:{allowed.get('PATH', os.defpath)}"}

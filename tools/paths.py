"""Where things are: the checkout, its private state, and the cache that checkouts share."""

from __future__ import annotations

import os
from pathlib import Path

from tools.pins import version

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = CHECKOUT / ".till"
VENV = CHECKOUT / ".venv"
LOGS = STATE / "logs" / "setup"
DOCKERD_PID = STATE / "dockerd.pid"
PASSPHRASE = STATE / "passphrase"
PULUMI_BACKEND = STATE / "pulumi"


def cache() -> Path:
    """The cache folder: $TILL_CACHE, else ~/.cache/till."""
    return Path(os.environ.get("TILL_CACHE") or Path.home() / ".cache" / "till")


def pulumi_bin() -> Path:
    """The folder that holds the Pulumi CLI and its Python language host."""
    return cache() / "tools" / f"pulumi-{version('pulumi')}" / "bin"


def pulumi_home() -> Path:
    """PULUMI_HOME, where plugins live."""
    return cache() / "pulumi-home"


def random_plugin() -> Path:
    """The folder of the plugin `random`, official or stand-in."""
    return pulumi_home() / "plugins" / f"resource-random-v{version('pulumi_random')}"


def node_archive() -> Path:
    """The Node runtime that hosts get; its top folder is the file's name without .tar.gz."""
    return cache() / "artefacts" / f"node-{version('node')}-linux-x64.tar.gz"


def node_tree() -> Path:
    """The same Node, unpacked for use on this machine (Node 22 with its npm)."""
    return cache() / "tools" / f"node-{version('node')}"

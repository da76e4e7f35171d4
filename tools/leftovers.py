"""Removes the containers and networks of this checkout's labs that a cut-off run left, and the engine if it is ours.

    python -m tools.leftovers [--rented]

With `--rented` also the hosts that `infra.lab.rent` made, keys included: tests rent some, and so may you.
"""

from __future__ import annotations

import shutil
import sys

from infra.lab.identity import LABEL_LAB, lab_id, rented_folder, rented_id
from tools import docker_engine, paths
from tools.command import output


def remove(rented: bool = False) -> list[str]:
    """Remove them all; returns their names. Nothing of another checkout is touched."""
    removed: list[str] = []
    if docker_engine.version() is None:
        return removed
    labs = [lab_id(file.name.split(".")[1]) for file in paths.CHECKOUT.glob("Pulumi.*.yaml")]
    keys = list(rented_folder("", paths.CHECKOUT).glob("*")) if rented else []
    for lab in [*labs, *(rented_id(folder.name) for folder in keys)]:
        ours = f"label={LABEL_LAB}={lab}"
        containers = (output(["docker", "ps", "--all", "--filter", ours, "--format", "{{.Names}}"]) or "").split()
        networks = (output(["docker", "network", "ls", "--filter", ours, "--format", "{{.Name}}"]) or "").split()
        if containers and output(["docker", "rm", "--force", "--volumes", *containers], timeout_s=120) is not None:
            removed += containers
        if networks and output(["docker", "network", "rm", *networks], timeout_s=60) is not None:
            removed += networks
    for folder in keys:
        shutil.rmtree(folder, ignore_errors=True)
    return removed


if __name__ == "__main__":
    for name in remove(rented="--rented" in sys.argv[1:]):
        print(f"removed {name}", file=sys.stderr)
    print(f"docker engine: {docker_engine.stop_ours()}", file=sys.stderr)

"""Which image a lab's hosts are made from."""

from __future__ import annotations

from infra.lab import docker

AUTO = "auto"
# The baked image first: it saves the installation of packages (docs/adr/0004).
REPOSITORIES = ("till-lab", "till-host")


def choose(wanted: str) -> str:
    """`wanted` itself; for `auto` the newest of Till's own images on this machine."""
    if wanted != AUTO:
        return wanted
    for repository in REPOSITORIES:
        newest = docker.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).splitlines()
        if newest:
            return newest[0]
    raise docker.DockerError("no image for the lab's hosts is on this machine. Next: tools/setup")

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
        try:
            return newest(repository)
        except docker.DockerError:
            continue
    raise docker.DockerError("no image for the lab's hosts is on this machine. Next: tools/setup")


def newest(repository: str) -> str:
    """The newest image of a repository as name:tag; raises DockerError when there is none."""
    found = docker.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).splitlines()
    if not found:
        raise docker.DockerError(f"no image {repository} is on this machine. Next: tools/setup")
    return found[0]

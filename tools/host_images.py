"""Images of hosts: `till-host`, as freshly rented, and `till-lab`, with what the roles install baked in."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tools import apt_sources, cached, paths
from tools.command import as_root, output, run
from tools.directus import bundle
from tools.failure import StepFailed
from tools.pins import pins, timeout_s, version

FILES = paths.CHECKOUT / "tools" / "image_files"
PATRONI_REQUIREMENTS = paths.CHECKOUT / "playbooks" / "roles" / "postgres" / "files" / "requirements.txt"
LAB_IMAGE = paths.STATE / "lab-image"


def host_image() -> str:
    """Name and tag of this checkout's `till-host`."""
    files = ("host-packages.txt", "host.Dockerfile", "ssh-host-keys.service")
    return f"till-host:{_digest(*[(FILES / name).read_bytes() for name in files], pins()['debian']['suite'].encode())}"


def lab_image() -> str:
    """Name and tag of this checkout's `till-lab`."""
    files = [(FILES / name).read_bytes() for name in ("lab.Dockerfile", "install-packages")]
    parts = [host_image(), *_packages(), version("node"), bundle().name, _patroni_marker()]
    return f"till-lab:{_digest(*files, *[part.encode() for part in parts])}"


def install_host(log: IO[str]) -> str:
    """Make `till-host`; returns its name."""
    image = host_image()
    with cached.locked("host-image"):
        if _exists(image):
            return image
        with cached.workplace(paths.cache() / "host-image") as context:
            base = _base(context, log)
            shutil.copy(FILES / "ssh-host-keys.service", context)
            _build(image, "host.Dockerfile", context, {"BASE": base}, log)
            run(["docker", "image", "rm", base], log, timeout_s=60)
    _record(image, "mmdebstrap", "Debian's archive keys")
    return image


def install_lab(log: IO[str]) -> str:
    """Make `till-lab` and note its name in `.till/lab-image`, where the commands in `.venv` find it."""
    image = lab_image()
    with cached.locked("lab-image"):
        if not _exists(image):
            with cached.workplace(paths.cache() / "lab-image") as context:
                _opt(context / "opt", log)
                _wheels(context / "wheels", log)
                shutil.copy(FILES / "install-packages", context)
                arguments = {
                    "HOST": host_image(),
                    "PACKAGES": " ".join(_packages()),
                    "PATRONI_MARKER": _patroni_marker(),
                }
                _build(image, "lab.Dockerfile", context, arguments, log)
            _record(image, "docker build", "Debian's archive keys and the artefacts' own pins")
    LAB_IMAGE.write_text(image + "\n")
    return image


def _base(folder: Path, log: IO[str]) -> str:
    """A Debian root with the host's packages, imported; from this machine's mirrors."""
    lines = (FILES / "host-packages.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    root = folder / "root.tar"
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}"]
    command += [f"--aptopt={option}" for option in apt_sources.options()]
    command += [pins()["debian"]["suite"], str(root)]
    if found := apt_sources.sources():
        (folder / "sources.list").write_text(found)
        command.append(str(folder / "sources.list"))
    chroot = folder / "chroot"
    chroot.mkdir()
    run(as_root(in_private_mounts(chroot, command)), log, timeout_s=timeout_s("build"), next_command="apt-get update")
    chroot.rmdir()
    base = f"till-debian:{_digest(root.name.encode(), host_image().encode())}"
    run(["docker", "import", root, base], log, timeout_s=timeout_s("build"))
    root.unlink()
    return base


def in_private_mounts(scratch: Path, command: Sequence[str]) -> list[str]:
    """The command in a mount namespace of its own, with `scratch`, in memory, as its TMPDIR.

    mmdebstrap mounts /dev, /proc and /sys of this machine into the tree that it makes. Here they, and the tree, are
    gone with the process, however it ends; left behind, a removal of the tree would walk into this machine's /dev.
    """
    start = 'mount -t tmpfs -o mode=755 till "$1"; export TMPDIR="$1"; shift; exec "$@"'
    return ["unshare", "--mount", "--", "sh", "-ec", start, "sh", str(scratch), *command]


def _opt(folder: Path, log: IO[str]) -> None:
    """/opt as the roles nodejs and directus lay it."""
    node, release = folder / f"node-{version('node')}", folder / "directus" / bundle().name.removesuffix(".tar.gz")
    release = release.with_name(release.name.removeprefix("directus-"))
    for archive, to, strip in ((paths.node_archive(), node, 1), (bundle(), release, 0)):
        to.mkdir(parents=True)
        unpack: list[str | Path] = ["tar", "-xzf", archive, "-C", to, f"--strip-components={strip}", "--no-same-owner"]
        run(unpack, log, timeout_s=timeout_s("build"))
    (folder / "node").symlink_to(node.name)


def _wheels(folder: Path, log: IO[str]) -> None:
    pip: list[str | Path] = [paths.VENV / "bin" / "python", "-m", "pip", "wheel", "--quiet", "--require-hashes"]
    run([*pip, "--wheel-dir", folder, "-r", PATRONI_REQUIREMENTS], log, timeout_s=timeout_s("build"))


def _build(image: str, dockerfile: str, context: Path, arguments: dict[str, str], log: IO[str]) -> None:
    shutil.copy(FILES / dockerfile, context / "Dockerfile")
    # The builder's own bridge knows no resolver on some machines; the host's network always does.
    command: list[str | Path] = ["docker", "build", "--network=host", "--tag", image]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    run([*command, context], log, timeout_s=timeout_s("build"), next_command="docker info; apt-get update")


def _packages() -> list[str]:
    said = output([paths.VENV / "bin" / "python", "-m", "tools.role_packages"])
    if said is None:
        raise StepFailed("the roles' defaults can't be read", ".venv/bin/python -m tools.role_packages")
    return list(json.loads(said))


def _patroni_marker() -> str:
    # As the role computes it: Ansible's file lookup drops trailing white space.
    return hashlib.sha256(PATRONI_REQUIREMENTS.read_text().rstrip().encode()).hexdigest()


def _exists(image: str) -> bool:
    return output(["docker", "image", "inspect", "--format", "{{.Id}}", image]) is not None


def _record(image: str, came_by: str, verified_by: str) -> None:
    name, tag = image.split(":")
    cached.record(f"image {name}", version=tag, path=image, came_by=came_by, verified_by=verified_by)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:12]

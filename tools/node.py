"""Node for the hosts, and the same Node for builds on this machine."""

from __future__ import annotations

import base64
import hashlib
import tarfile
from pathlib import Path
from typing import IO

from tools import cached, paths
from tools.archive import pack
from tools.command import run
from tools.download import fetch_pinned
from tools.failure import BadChecksum, Unreachable
from tools.pins import pins, timeout_s, version


def install(log: IO[str]) -> str:
    """Make the tree and the archive of the pinned Node; returns which way it came."""
    tree, archive = paths.node_tree(), paths.node_archive()
    with cached.locked("node"):
        if not tree.is_dir():
            with cached.new_entry(tree) as made:
                made.mkdir()
                try:
                    verified_by = _official(made, log)
                    came = "official"
                except Unreachable as reason:
                    log.write(f"official archive not reachable: {reason}\n")
                    _from_npm(made, log)
                    came, verified_by = "npm", "pinned integrity"
            cached.record("node", version=version("node"), path=tree, came_by=came, verified_by=verified_by)
        if not archive.is_file():
            with cached.new_entry(archive) as made:
                top = archive.name.removesuffix(".tar.gz")
                (made.parent / top).symlink_to(tree)
                # Hosts run Node; headers and manuals stay here.
                pack(made, made.parent, [f"{top}/{part}" for part in ("bin", "lib", "LICENSE")], log)
        return cached.came_by("node")


def npm_command() -> list[str | Path]:
    """The pinned npm under the pinned Node."""
    return [paths.node_tree() / "bin" / "node", paths.node_tree() / "lib/node_modules/npm/bin/npm-cli.js"]


def _official(made: Path, log: IO[str]) -> str:
    archive = made / "node.tar.gz"
    verified_by = fetch_pinned(pins()["node"], archive, log)
    _unpack(archive, made)
    return verified_by


def _from_npm(made: Path, log: IO[str]) -> None:
    pin = pins()["node"]["npm"]
    _unpack(_npm_pack(pin["node_package"], pin["node_integrity"], made, log), made)
    npm = made / "lib" / "node_modules" / "npm"
    npm.mkdir(parents=True)
    _unpack(_npm_pack(pin["npm_package"], pin["npm_integrity"], made, log), npm)
    for command in ("npm", "npx"):
        program = npm / "bin" / f"{command}-cli.js"
        program.chmod(0o755)
        (made / "bin" / command).symlink_to(f"../lib/node_modules/npm/bin/{program.name}")
    (made / "bin" / "node").chmod(0o755)


def _npm_pack(package: str, integrity: str, folder: Path, log: IO[str]) -> Path:
    run(
        ["npm", "pack", "--silent", "--pack-destination", folder, package],
        log,
        timeout_s=timeout_s("download"),
        next_command="apt-get install npm, then tools/setup",
    )
    (archive,) = folder.glob("*.tgz")
    algorithm, _, wanted = integrity.partition("-")
    found = base64.b64encode(hashlib.new(algorithm, archive.read_bytes()).digest()).decode()
    if found != wanted:
        archive.unlink()
        raise BadChecksum(
            f"npm package {package}: integrity is {algorithm}-{found}, pinned is {integrity}",
            "find out who changed it before you change tools/pins.toml",
        )
    return archive


def _unpack(archive: Path, to: Path) -> None:
    """Unpack without the archive's top folder, then remove the archive."""
    with tarfile.open(archive) as content:
        for member in content:
            member.name = member.name.partition("/")[2]
            if member.islnk():
                member.linkname = member.linkname.partition("/")[2]
            if member.name:
                content.extract(member, to, filter="data")
    archive.unlink()

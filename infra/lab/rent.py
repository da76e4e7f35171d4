"""Containers that Pulumi did not make, as if rented: `python -m infra.lab.rent --name X --hosts alpha,bravo`.

Prints one JSON object {name, hosts: [{name, address, port, user, host_key}], ssh_private_key_file}; `--return` removes
all of it. Tests of the stack `staging` use it. The machines come from the plain image of a rented host.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.lab import docker, identity, images
from infra.lab.machine import Machine, ensure, prepare
from infra.lab.network import AUTO, release_subnet, take_subnet
from infra.lab.ssh_key import new_key_pair

USER = "till"
STACK = identity.RENTED


def rent(name: str, hosts: list[str], image: str, memory_mb: int, folder: Path) -> dict[str, Any]:
    """Make the hosts (again: adopt them) and return what a stack file wants to know; raises DockerError."""
    lab = lab_of(name)
    key_file = _key_file(folder)
    public_key = Path(f"{key_file}.pub").read_text().strip()
    cidr = take_subnet(lab, STACK, AUTO)
    chosen = images.newest(image) if image in images.REPOSITORIES else image

    def one(host: str) -> dict[str, Any]:
        machine = Machine(
            container=identity.container_name(lab, host),
            lab=lab,
            stack=STACK,
            hostname=host,
            network=identity.network_name(lab),
            address=identity.address(cidr, host, hosts),
            image=chosen,
            memory_mb=memory_mb,
        )
        ensure(machine)
        key = prepare(machine.container, USER, public_key)
        return {"name": host, "address": machine.address, "port": 22, "user": USER, "host_key": key}

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        return {"name": name, "hosts": list(pool.map(one, hosts)), "ssh_private_key_file": str(key_file)}


def give_back(name: str, folder: Path) -> None:
    """Remove every container, the network and the key of `name`; nothing happens when there is none."""
    lab = lab_of(name)
    mine = docker.run("ps", "--all", "--quiet", "--filter", f"label={identity.LABEL_LAB}={lab}").split()
    if mine:
        docker.run("rm", "--force", "--volumes", *mine)
    release_subnet(identity.network_name(lab))
    shutil.rmtree(folder, ignore_errors=True)


def lab_of(name: str) -> str:
    """The id of what is rented under `name` from this checkout."""
    return identity.rented_id(name)


def default_folder(name: str) -> Path:
    return identity.rented_folder(name)


def _key_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_file = folder / "id_ed25519"
    if not key_file.exists():
        private, public = new_key_pair("till rented")
        key_file.touch(mode=0o600)
        key_file.write_text(private)
        Path(f"{key_file}.pub").write_text(public + "\n")
    return key_file


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit code 1 with one sentence when Docker refuses."""
    parser = argparse.ArgumentParser(prog="python -m infra.lab.rent", description="Rent hosts on this machine.")
    parser.add_argument("--name", required=True, help="what the hosts are rented under")
    parser.add_argument("--hosts", default="alpha,bravo,ops,outside", help="names, separated by commas")
    parser.add_argument("--image", default="till-host", help="till-host, till-lab, or any systemd image with sshd")
    parser.add_argument("--memory-mb", type=int, default=2048)
    parser.add_argument("--folder", type=Path, help="where the SSH key is kept (.till/rented/NAME)")
    parser.add_argument("--return", dest="give_back", action="store_true", help="remove what is rented under --name")
    options = parser.parse_args(arguments)
    folder = options.folder or default_folder(options.name)
    try:
        if options.give_back:
            give_back(options.name, folder)
            found: dict[str, Any] = {"name": options.name, "hosts": []}
        else:
            found = rent(options.name, options.hosts.split(","), options.image, options.memory_mb, folder)
    except docker.DockerError as error:
        print(f"rent: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

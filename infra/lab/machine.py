"""A container that behaves like a rented Debian host: systemd as PID 1, sshd, a user with passwordless sudo."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from infra.lab import docker, identity, ports

READY_TIMEOUT_S = 60.0
SHM_MB = 256  # PostgreSQL's parallel workers want more than Docker's 64 MB

# Any Debian image with systemd, sshd and sudo will do; what the image has already is left as it is.
PREPARE = """\
set -eu
user=$1
if [ ! -e /etc/ssh/.till-host-keys ]; then
    rm -f /etc/ssh/ssh_host_*
    ssh-keygen -q -A
    touch /etc/ssh/.till-host-keys
fi
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
printf '%s ALL=(ALL) NOPASSWD: ALL\\n' "$user" >/etc/sudoers.d/90-till
chmod 0440 /etc/sudoers.d/90-till
home=$(getent passwd "$user" | cut -d: -f6)
install -d -m 0700 -o "$user" -g "$user" "$home/.ssh"
printf '%s\\n' "AUTHORIZED_KEY" >"$home/.ssh/authorized_keys"
chown "$user:$user" "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"
# Between containers of one machine nobody records what a later computer could read: the key exchange that is safe from
# that costs seven times the processor time of a connection.
echo 'KexAlgorithms -sntrup761*' >/etc/ssh/sshd_config.d/05-lab.conf
rm -f /run/nologin
systemctl unmask --quiet ssh.service
systemctl enable --quiet ssh.service
systemctl restart ssh.service
"""


@dataclass(frozen=True)
class Machine:
    """What a container is made of; `publish` is a port of 127.0.0.1 that leads to the container's 443, or 0."""

    container: str
    lab: str
    stack: str
    hostname: str
    network: str
    address: str
    image: str
    memory_mb: int
    publish: int = 0

    def spec(self) -> str:
        """A hash of everything that can't change while the container lives."""
        lasting = {key: value for key, value in asdict(self).items() if key != "memory_mb"}
        return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]


def run_arguments(machine: Machine, cgroup_version: int) -> list[str]:
    """Arguments of `docker run`; --privileged is not used, since it fails where the machine is a container itself."""
    cgroups = (
        ["--cgroupns=host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"] if cgroup_version == 1 else ["--cgroupns=private"]
    )
    publish = ["--publish", f"{ports.LOOPBACK}:{machine.publish}:443"] if machine.publish else []
    labels = {
        identity.LABEL_LAB: machine.lab,
        identity.LABEL_STACK: machine.stack,
        identity.LABEL_SPEC: machine.spec(),
    }
    return [
        *("run", "--detach", "--name", machine.container, "--hostname", machine.hostname),
        *(part for key, value in labels.items() for part in ("--label", f"{key}={value}")),
        *("--network", machine.network, "--ip", machine.address, *publish),
        *("--memory", f"{machine.memory_mb}m", "--memory-swap", f"{machine.memory_mb}m", "--shm-size", f"{SHM_MB}m"),
        *("--restart", "unless-stopped", "--stop-signal", "SIGRTMIN+3"),
        *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-add", "SYS_BOOT"),
        *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
        *(*cgroups, "--tmpfs", "/run", "--tmpfs", "/tmp"),  # noqa: S108 - paths inside the container
        # Without shared mounts systemd's LoadCredential= silently gives an empty folder.
        *(machine.image, "sh", "-c", "mount --make-rshared / && exec /lib/systemd/systemd"),
    ]


def ensure(machine: Machine) -> None:
    """Make the container, or adopt what an interrupted run left of the same make; removes a different leftover."""
    found = docker.inspect("container", machine.container)
    if found is not None:
        labels = docker.labels("container", found)
        if labels.get(identity.LABEL_LAB) != machine.lab:
            raise docker.DockerError(
                f"container {machine.container} exists and is not this lab's. Next: docker rm -f {machine.container}"
            )
        if labels.get(identity.LABEL_SPEC) == machine.spec() and found["State"]["Status"] != "created":
            docker.run("start", machine.container)
            return
        remove(machine.container)
    if docker.inspect("image", machine.image) is None:
        raise docker.DockerError(f"image {machine.image} is not on this machine. Next: tools/setup")
    try:
        docker.run(*run_arguments(machine, docker.cgroup_version()))
    except docker.DockerError as error:
        remove(machine.container)
        if machine.publish and any(sign in str(error) for sign in ("already allocated", "address already in use")):
            raise docker.DockerError(ports.in_use(machine.publish)) from None
        raise


def prepare(container: str, user: str, authorized_key: str) -> str:
    """Wait for systemd, let `user` in by key, and return the host's public key line without a comment."""
    _wait_for_systemd(container)
    docker.execute(container, PREPARE.replace("AUTHORIZED_KEY", authorized_key), user)
    return host_key(container)


def host_key(container: str) -> str:
    """The host's ed25519 public key, read over Docker and so free of any network trust."""
    line = docker.run("exec", container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    return " ".join(line.split()[:2])


def running(found: dict[str, Any]) -> bool:
    return bool(found["State"]["Running"])


def remove(container: str) -> None:
    """Remove the container and its volumes; nothing happens when it is gone already."""
    if docker.inspect("container", container) is not None:
        docker.run("rm", "--force", "--volumes", container)


def _wait_for_systemd(container: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    state = "unknown"
    while time.monotonic() < deadline:
        try:
            state = docker.execute(container, "systemctl is-system-running || true")
        except docker.DockerError as error:
            state = str(error)
        if state in ("running", "degraded"):
            return
        time.sleep(0.3)
    raise docker.DockerError(
        f"systemd in {container} did not come up in {READY_TIMEOUT_S:.0f} s (last: {state}). "
        f"Next: docker logs {container}"
    )

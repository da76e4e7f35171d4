"""A private folder for one run: keys, inventory and known hosts on tmpfs, gone afterwards."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.contract import Contract
from till.environment import environment
from till.errors import UsageError
from till.hosts import inventory, processes
from till.paths import PLAYBOOKS
from till.policy import host_policy, thresholds

# Persists between the tasks of a run; ended with the run.
CONTROL_PERSIST_S = 60
CONNECT_TIMEOUT_S = 10
# The exit code of ssh itself.
UNREACHED = 255
PREFIX = "till-run-"
# A session is locked right after it was made, so a young one without a lock is not yet a left one.
SWEEP_AFTER_S = 5

CONFIG = """[defaults]
forks = {forks}
gathering = explicit
host_key_checking = True
interpreter_python = /usr/bin/python3
retry_files_enabled = False
deprecation_warnings = False
nocows = True
timeout = {connect_timeout_s}
strategy_plugins = {strategies}
strategy = mitogen_linear
local_tmp = {folder}/ansible
roles_path = {playbooks}/roles
[ssh_connection]
pipelining = True
retries = 1
control_path_dir = {folder}/cp
control_path = %(directory)s/%%C
ssh_args = {ssh_args}
"""


class Session:
    """Files of one run below `folder` (0700, on tmpfs where there is one)."""

    def __init__(self, folder: Path, contract: Contract, artefacts: dict[str, str]) -> None:
        self.folder = folder
        self.contract = contract
        self.known_hosts = self._write("known_hosts", inventory.known_hosts(contract))
        self.inventory_document = inventory.build(contract, artefacts, host_policy(), thresholds())
        self.inventory = self._write("inventory.json", json.dumps(self.inventory_document))
        (folder / "cp").mkdir(mode=0o700)
        self.key = (
            self._write("id", contract.ssh_private_key.get_secret_value())
            if contract.ssh_private_key is not None
            else None
        )
        self.config = self._write(
            "ansible.cfg",
            CONFIG.format(
                forks=max(8, len(contract.hosts) + 1),
                connect_timeout_s=CONNECT_TIMEOUT_S,
                folder=folder,
                playbooks=PLAYBOOKS,
                strategies=_strategies(),
                ssh_args=" ".join(self.ssh_options()),
            ),
        )

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text if text.endswith("\n") else text + "\n")
        return path

    def environment(self) -> dict[str, str]:
        """What the processes of this run see; it marks them as this run's."""
        return {**environment(), processes.MARK: str(self.folder)}

    def ssh_options(self) -> list[str]:
        options = [
            f"-oUserKnownHostsFile={self.known_hosts}",
            "-oGlobalKnownHostsFile=/dev/null",
            "-oStrictHostKeyChecking=yes",
            "-oControlMaster=auto",
            f"-oControlPersist={CONTROL_PERSIST_S}",
            "-oServerAliveInterval=10",
            "-oServerAliveCountMax=3",
            "-oBatchMode=yes",
        ]
        if self.key is not None:
            options += [f"-oIdentityFile={self.key}", "-oIdentitiesOnly=yes"]
        return options

    def ssh(self, host: str, command: str, timeout_s: int = 30) -> subprocess.CompletedProcess[str]:
        """Run one command on a host as root; never raises. Exit code 255: the host was not reached, or not in time."""
        argv = self._ssh_argv(host, command, f"-oControlPath={self.folder}/cp/%C", *self.ssh_options())
        try:
            return subprocess.run(
                argv, capture_output=True, text=True, timeout=timeout_s, check=False,
                env=self.environment(), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, UNREACHED, "", f"no answer within {timeout_s} s")

    def talk(self, host: str, command: str) -> subprocess.Popen[bytes]:
        """A command that goes on on a host as root, with pipes to it and from it; it has a connection of its own."""
        # Its own group, so that Ctrl-C ends the verb and not this under it.
        return subprocess.Popen(
            self._ssh_argv(host, command, "-oControlMaster=no", "-oControlPath=none", *self.ssh_options()),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            env=self.environment(), start_new_session=True,
        )  # fmt: skip

    def _ssh_argv(self, host: str, command: str, *options: str) -> list[str]:
        entry: dict[str, Any] = self.inventory_document["all"]["hosts"][host]
        user = entry["ansible_user"]
        target = ["-p", str(entry["ansible_port"]), f"{user}@{entry['ansible_host']}"]
        as_root = command if user == "root" else f"sudo -n {command}"
        return ["ssh", *options, f"-oConnectTimeout={CONNECT_TIMEOUT_S}", *target, as_root]

    def close(self) -> None:
        """End what still runs and the connections that persist, then remove everything."""
        try:
            processes.end(self.folder)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _strategies() -> Path:
    """Where Mitogen's strategy lies: one Python per host and run in the place of one per task (docs/adr/0014)."""
    found = importlib.util.find_spec("ansible_mitogen")
    if found is None or found.origin is None:
        raise UsageError("Mitogen is not installed", "tools/setup")
    return Path(found.origin).parent / "plugins" / "strategy"


def _base() -> Path:
    # Memory, so that no secret reaches a disk. The other one is for systems without it.
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder of our own in it
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def _sweep(base: Path) -> None:
    """Remove what a killed run left: a session whose lock nobody holds."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.stat().st_uid != os.getuid() or time.time() - folder.stat().st_mtime < SWEEP_AFTER_S:
                continue
            with (folder / "held").open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                processes.end(folder)
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def open_session(contract: Contract, artefacts: dict[str, str] | None = None) -> Iterator[Session]:
    """A session that is removed however the block ends; one that a killed run left is removed by the next."""
    _sweep(_base())
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_base()))
    (folder / "held").touch(mode=0o600)
    with (folder / "held").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            session = Session(folder, contract, artefacts or {})
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            yield session
        finally:
            session.close()

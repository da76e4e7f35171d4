"""Asks a program that a role put on a host; it answers with one JSON object or a sentence on stderr."""

from __future__ import annotations

import json
import shlex
from typing import Any

from infra.contract import Contract, Host, Role
from till.errors import HostUnreachable, TillError, UsageError
from till.hosts.session import UNREACHED, Session

# The link to the version that a host runs, and its programs (role host_package).
PACKAGE = "/opt/till-host/current"
FOLDER = f"{PACKAGE}/bin"
NOT_THERE = 127


def host_with(contract: Contract, role: Role) -> Host:
    """The first host that carries a role; UsageError when none does."""
    found = next((host for host in contract.hosts if role in host.roles), None)
    if found is None:
        raise UsageError(
            f"stack {contract.stack} has no host with the role {role}",
            f"edit till:hosts in Pulumi.{contract.stack}.yaml",
        )
    return found


def run_host_program(
    session: Session, host: str, program: str, *arguments: str, timeout_s: int, next_command: str
) -> Any:
    """The program's answer. Raises HostUnreachable, or TillError with the program's own words."""
    words = [f"{FOLDER}/{program}", *arguments]
    return answer(session, host, shlex.join(words), program, timeout_s, next_command)


def run_host_program_detached(
    session: Session, host: str, unit: str, program: str, *arguments: str, timeout_s: int, next_command: str
) -> Any:
    """The same, as a unit of the host's own: work that a lost connection must not cut off."""
    run = ["systemd-run", "--quiet", "--wait", "--collect", "--pipe", f"--unit={unit}", "--property=Nice=10"]
    return answer(
        session, host, shlex.join([*run, f"{FOLDER}/{program}", *arguments]), program, timeout_s, next_command
    )


def require_reached(host: str, exit_code: int, said: str, next_command: str) -> None:
    """Raises HostUnreachable where a command on a host ended with SSH's own exit code."""
    if exit_code == UNREACHED:
        raise HostUnreachable(
            f"host {host} can't be reached by SSH: {said.strip()[-600:] or 'the connection ended'}", next_command
        )


def answer(session: Session, host: str, command: str, program: str, timeout_s: int, next_command: str) -> Any:
    done = session.ssh(host, command, timeout_s=timeout_s)
    said = done.stderr.strip().removeprefix(f"{program}: ")[-1500:]
    require_reached(host, done.returncode, said, next_command)
    if done.returncode == NOT_THERE or "command not found" in said:
        raise TillError(f"host {host} has no {program}", f"till provision {session.contract.stack}")
    if done.returncode != 0:
        raise TillError(f"{host}: {said or f'{program} ended with {done.returncode}'}", next_command)
    return json.loads(done.stdout) if done.stdout.strip() else {}

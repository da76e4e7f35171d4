"""Pulumi, as seen by the runner: bring a stack up, read its contract, destroy it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from infra.contract import Contract, parse
from till.errors import TillError, UsageError
from till.paths import CHECKOUT, VENV_BIN
from till.stacks.pulumi_process import release_dead_locks, stream

READ_TIMEOUT_S = 120
UP_TIMEOUT_S = 900
DESTROY_TIMEOUT_S = 600


def settings_file(stack: str) -> Path:
    return CHECKOUT / f"Pulumi.{stack}.yaml"


def is_lab(stack: str) -> bool:
    """Whether its settings say that Pulumi makes its hosts on this machine; also of a stack without a contract."""
    from ruamel.yaml import YAML

    found = YAML(typ="safe").load(settings_file(known(stack)).read_text()) or {}
    return bool(found.get("config", {}).get("till:environment") == "lab")


def known(stack: str) -> str:
    """The name, or an error when this project has no such stack."""
    if not settings_file(stack).is_file():
        there = sorted(path.name.split(".")[1] for path in CHECKOUT.glob("Pulumi.*.yaml"))
        raise UsageError(
            f"stack {stack!r} is not one of this project's: there is no Pulumi.{stack}.yaml",
            f"choose one of {', '.join(there)}",
        )
    return stack


def _pulumi() -> str:
    wrapper = VENV_BIN / "pulumi"
    if not wrapper.exists():
        raise UsageError("the Pulumi command is not set up", "make tools")
    return str(wrapper)


def why(stderr: str, stack: str) -> TillError:
    """What Pulumi's words mean here: an error that names the cause and the next command."""
    text = stderr.strip()
    if "incorrect passphrase" in text:
        return UsageError(
            f"stack {stack}: the passphrase does not open the stack's secrets",
            "put the right one into .till/passphrase, or set PULUMI_CONFIG_PASSPHRASE_FILE",
        )
    if "passphrase must be set" in text or "PASSPHRASE_FILE" in text:
        return UsageError(f"stack {stack}: there is no passphrase to open its secrets with", "make tools")
    if "is currently locked" in text:
        return UsageError(
            f"stack {stack} is held by another Pulumi run, or by one that was killed",
            f"wait for it; when none runs: .venv/bin/pulumi cancel --yes -s {stack}",
        )
    if "does not have output property" in text:
        return UsageError(f"stack {stack} has no contract", f".venv/bin/pulumi up -s {stack}")
    if "no stack named" in text:
        return UsageError(f"stack {stack} does not exist yet", f".venv/bin/pulumi up -s {stack}")
    last = "\n".join(line for line in text.splitlines() if line.strip())[-2000:]
    return UsageError(
        f"stack {stack} can't be read: {last or 'pulumi said nothing'}", f".venv/bin/pulumi stack -s {stack}"
    )


def _run(*arguments: str, stack: str, timeout_s: int = READ_TIMEOUT_S) -> str:
    try:
        done = subprocess.run(
            [_pulumi(), *arguments, "--non-interactive", "--stack", stack],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TillError(f"pulumi {arguments[0]} of stack {stack} took longer than {timeout_s} s") from None
    if done.returncode != 0:
        raise why(done.stderr, stack)
    return done.stdout


@cache
def contract(stack: str) -> Contract:
    """Read the contract of a stack, once in a run.

    Raises UsageError when the stack can't be read, has no contract or has one of another version.
    """
    known(stack)
    text = _run("stack", "output", "contract", "--show-secrets", stack=stack).strip()
    if not text:
        raise UsageError(f"stack {stack} has no contract", f".venv/bin/pulumi up -s {stack}")
    try:
        return parse(text)
    except ValidationError as reason:
        # pydantic would print the input, which holds secrets.
        places = ", ".join(".".join(str(part) for part in error["loc"]) for error in reason.errors(include_input=False))
        raise UsageError(
            f"stack {stack}: its contract is not valid at {places}", f".venv/bin/pulumi up -s {stack}"
        ) from None
    except ValueError as reason:
        raise UsageError(f"stack {stack}: {reason}", f".venv/bin/pulumi up -s {stack}") from None


def exported(stack: str) -> str:
    """The stack's state as JSON, its secrets encrypted as the backend holds them."""
    return _run("stack", "export", stack=known(stack))


def exists(stack: str) -> bool:
    """Whether the stack was made in this backend."""
    done = subprocess.run(
        [_pulumi(), "stack", "ls", "--json", "--non-interactive"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=READ_TIMEOUT_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        raise why(done.stderr, stack)
    return any(entry["name"].split("/")[-1] == stack for entry in json.loads(done.stdout))


def _stream(arguments: list[str], say: Callable[[str], None], stack: str, timeout_s: int) -> None:
    if release_dead_locks(stack):
        say("a Pulumi run that was killed held the stack: its lock is released")
        _run("cancel", "--yes", stack=stack)
    command = [_pulumi(), *arguments, "--non-interactive", "--stack", stack, "--color", "never", "--suppress-progress"]
    exit_code, seen = stream(command, say, timeout_s)
    if exit_code == 0:
        return
    text = "".join(seen)
    if any(sign in text for sign in ("incorrect passphrase", "no stack named", "is currently locked")):
        raise why(text, stack)
    errors = [line.strip() for line in seen if "error:" in line and "update failed" not in line]
    raise UsageError(
        f"pulumi {arguments[0]} of stack {stack} failed: {' / '.join(errors)[-2000:] or text[-2000:]}",
        f"mend it, then .venv/bin/pulumi {arguments[0]} -s {stack}",
    )


def up(stack: str, say: Callable[[str], None]) -> None:
    """Make what the stack says; sees first what was removed behind Pulumi's back."""
    contract.cache_clear()
    try:
        if not exists(known(stack)):
            _run("stack", "init", stack=stack)
        _stream(["up", "--yes", "--refresh", "--suppress-outputs"], say, stack, UP_TIMEOUT_S)
    finally:
        if is_lab(stack):
            forget_salt(stack)


def forget_salt(stack: str) -> None:
    """Leave a lab's settings in git as they are: the salt that Pulumi writes into them is also in the stack's state.

    It stays where the settings hold a secret, which is encrypted with it.
    """
    text = settings_file(known(stack)).read_text()
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("encryptionsalt:"))
    if kept != text and not re.search(r"^ +secure:", kept, re.MULTILINE):
        settings_file(stack).write_text(kept)


def destroy(stack: str, say: Callable[[str], None]) -> None:
    """Remove everything of the stack, then the stack itself; its settings file stays."""
    contract.cache_clear()
    if not exists(known(stack)):
        return
    _stream(["destroy", "--yes"], say, stack, DESTROY_TIMEOUT_S)
    _run("stack", "rm", "--yes", "--preserve-config", stack=stack)

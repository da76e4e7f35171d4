"""Runs programs, with their output in the step's own log."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tools.failure import StepFailed
from tools.paths import CHECKOUT


def run(
    argv: Sequence[str | Path],
    log: IO[str],
    *,
    timeout_s: float,
    cwd: Path = CHECKOUT,
    env: Mapping[str, str] | None = None,
    next_command: str = "",
) -> None:
    """Run a program to its end, output into `log`; StepFailed when it fails or passes its deadline."""
    shown = shlex.join(str(word) for word in argv)
    log.write(f"$ {shown}\n")
    log.flush()
    try:
        subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=True,
        )
    except FileNotFoundError as error:
        raise StepFailed(f"`{argv[0]}` is not installed", next_command) from error
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"`{shown}` took longer than {timeout_s:.0f} s", next_command) from error
    except subprocess.CalledProcessError as error:
        raise StepFailed(f"`{shown}` exited with {error.returncode}", next_command) from error


def output(argv: Sequence[str | Path], *, timeout_s: float = 30, cwd: Path = CHECKOUT) -> str | None:
    """A program's stdout without its last newline, or None when it is missing or fails."""
    try:
        result = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.rstrip("\n")


def as_root(argv: Sequence[str]) -> list[str]:
    """The command with what it takes to be root; StepFailed where neither root nor sudo is there."""
    if os.geteuid() == 0:
        return list(argv)
    if shutil.which("sudo") is None:
        raise StepFailed(f"`{shlex.join(argv)}` needs root, and there is no sudo", "run tools/setup as root")
    return ["sudo", "--preserve-env=DEBIAN_FRONTEND", *argv]

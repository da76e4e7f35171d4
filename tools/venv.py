"""`.venv`: Python packages by hash, the commands `till` and `pulumi` in it, and the passphrase they need."""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import sys
from pathlib import Path
from typing import IO

from tools import cached, paths
from tools.command import output, run
from tools.failure import StepFailed
from tools.pins import timeout_s

REQUIREMENTS = paths.CHECKOUT / "tools" / "requirements.txt"
UV_REQUIREMENTS = paths.CHECKOUT / "tools" / "uv.txt"
STAMP = paths.VENV / ".till-requirements"

WRAPPER = """\
#!/bin/sh
# Made by tools/setup. Runs the Pulumi CLI with Till's defaults; a variable that is set already wins.
export PULUMI_HOME="${{PULUMI_HOME:-{pulumi_home}}}"
export PULUMI_BACKEND_URL="${{PULUMI_BACKEND_URL:-file://{backend}}}"
if [ -z "${{PULUMI_CONFIG_PASSPHRASE+set}}${{PULUMI_CONFIG_PASSPHRASE_FILE+set}}" ]; then
    export PULUMI_CONFIG_PASSPHRASE_FILE={passphrase}
fi
export PULUMI_SKIP_UPDATE_CHECK="${{PULUMI_SKIP_UPDATE_CHECK:-true}}"
if [ -z "${{TILL_LAB_IMAGE:-}}" ] && [ -r {lab_image} ]; then
    TILL_LAB_IMAGE=$(cat {lab_image})
    export TILL_LAB_IMAGE
fi
export PATH={venv_bin}:{pulumi_bin}:"$PATH"
if [ ! -x {pulumi_bin}/pulumi ]; then
    echo 'pulumi: the CLI is not in '{pulumi_bin}': run tools/setup' >&2
    exit 127
fi
exec {pulumi_bin}/pulumi "$@"
"""


def install(log: IO[str]) -> str:
    """Make `.venv` hold exactly the pinned packages and Till's commands; returns a word on what was done."""
    wanted = _fingerprint()
    python = paths.VENV / "bin" / "python"
    if not python.exists():
        _create(log)
    if is_current():
        did = "present"
    else:
        _packages(python, log)
        STAMP.write_text(wanted)
        did = "pypi"
    _wrapper()
    _passphrase()
    cached.record(
        "python packages", version=wanted[:12], path=paths.VENV, came_by="pypi", verified_by="tools/requirements.txt"
    )
    return did


def is_current() -> bool:
    """Whether `.venv` was filled from this checkout's pins."""
    return STAMP.exists() and STAMP.read_text() == _fingerprint()


def _fingerprint() -> str:
    content = REQUIREMENTS.read_bytes() + (paths.CHECKOUT / "pyproject.toml").read_bytes()
    return hashlib.sha256(content).hexdigest()


def _create(log: IO[str]) -> None:
    run(
        [sys.executable, "-m", "venv", "--clear", paths.VENV],
        log,
        timeout_s=timeout_s("download"),
        next_command="apt-get install python3-venv, then tools/setup",
    )


def _packages(python: Path, log: IO[str]) -> None:
    uv = paths.VENV / "bin" / "uv"
    if (output([uv, "--version"]) or "").split()[1:2] != [_pinned_uv()]:
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--require-hashes", "-r", UV_REQUIREMENTS], log, timeout_s=timeout_s("download"))
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
    # Once here, where a Python that may not write would compile all that it imports at each start of a verb.
    run([*install, "--compile-bytecode", "--require-hashes", "-r", REQUIREMENTS], log, timeout_s=timeout_s("build"))
    # Editable and without dependencies: those are the hash-pinned ones above.
    run([*install, "--no-deps", "--no-build-isolation", "-e", paths.CHECKOUT], log, timeout_s=timeout_s("download"))


def _pinned_uv() -> str:
    return UV_REQUIREMENTS.read_text().split("uv==")[1].split()[0]


def _wrapper() -> None:
    wrapper = paths.VENV / "bin" / "pulumi"
    text = WRAPPER.format(
        pulumi_home=paths.pulumi_home(),
        backend=paths.PULUMI_BACKEND,
        passphrase=shlex.quote(str(paths.PASSPHRASE)),
        lab_image=shlex.quote(str(paths.STATE / "lab-image")),
        venv_bin=shlex.quote(str(paths.VENV / "bin")),
        pulumi_bin=shlex.quote(str(paths.pulumi_bin())),
    )
    for folder in (paths.PULUMI_BACKEND, paths.pulumi_home()):
        if set(str(folder)) & set('"$`\\'):
            raise StepFailed(f"{folder} has a character that the shell reads", "use a plainer folder name")
    paths.PULUMI_BACKEND.mkdir(parents=True, exist_ok=True)
    if wrapper.exists() and wrapper.read_text() == text:
        return
    with cached.new_entry(wrapper) as made:
        made.write_text(text)
        made.chmod(0o755)


def _passphrase() -> None:
    paths.STATE.mkdir(exist_ok=True)
    try:
        descriptor = os.open(paths.PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_urlsafe(32) + "\n")

"""A build: the descriptor's commands in a copy of the source, and the archive of the folder that they leave."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from till import source as sources
from till.app import App
from till.errors import TillError
from till.paths import log_dir
from till.progress import Progress
from till.toolchain import build_environment
from tools import paths as tool_paths

BUILD_TIMEOUT_S = 900


def kept_archive(app: App, source_sha256: str, tools: dict[str, str]) -> Path:
    """Where the archive of a source is kept that was built with these tools, for all stacks of this machine."""
    made_with = hashlib.sha256(json.dumps(tools, sort_keys=True).encode()).hexdigest()
    return tool_paths.cache() / "releases" / f"{app.name}-{source_sha256[:32]}-{made_with[:8]}.tar.gz"


def archive(app: App, source: Path, listed: list[Path], kept: Path, label: str, progress: Progress) -> None:
    """Build `listed` files of a source into the archive `kept`; raises TillError with the end of the build's log."""
    log = log_dir() / f"build-{label}.log"
    with tempfile.TemporaryDirectory(prefix="till-build-") as temporary:
        place = Path(temporary) / app.name
        sources.copy(source, listed, place)
        with log.open("w") as output:
            for command in app.build:
                progress.say(f"build: {command}")
                _run(command, place, app, output, log)
        result = place / app.artefact
        if not result.is_dir() or not any(result.iterdir()):
            raise TillError(f"the build of {app.name} left no folder {app.artefact!r}", f"less {log}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
        sources.pack(result, partial)
        partial.rename(kept)


def _run(command: str, place: Path, app: App, output: IO[str], log: Path) -> None:
    allowed = build_environment(app.runtime)
    output.write(f"$ {command}\n")
    output.flush()
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=place, env=allowed, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        exit_code = process.wait(BUILD_TIMEOUT_S)
        ended = f"ended with exit code {exit_code}"
    except subprocess.TimeoutExpired:
        exit_code, ended = -1, f"took longer than {BUILD_TIMEOUT_S} s"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except BaseException:
        # All that the build started ends with it.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if exit_code:
        output.flush()
        tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TillError(
            f"the build of {app.name} failed: `{command}` {ended}; nothing was released\n    {tail}", f"less {log}"
        )

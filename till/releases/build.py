"""A build: the descriptor's commands in a copy of the source, and the archive of the folder that they leave.

Beside an archive whose tests passed lies a mark, `ARCHIVE.tests`: its SHA-256 and the commands that ran.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from till.errors import GateSaidNo
from till.paths import log_dir
from till.progress import Progress
from till.releases import source as sources
from till.releases.descriptor import App
from till.releases.toolchain import build_environment
from tools import paths as tool_paths

BUILD_TIMEOUT_S = 900


def kept_archive(app: App, source_sha256: str, tools: dict[str, str]) -> Path:
    """Where the archive of a source is kept that was built with these tools, for all stacks of this machine."""
    made_with = hashlib.sha256(json.dumps(tools, sort_keys=True).encode()).hexdigest()
    return tool_paths.cache() / "releases" / f"{app.name}-{source_sha256[:32]}-{made_with[:8]}.tar.gz"


def tested(app: App, kept: Path) -> bool:
    """Whether the descriptor's tests ran, and passed, in the build that this very archive is of."""
    mark = _mark(kept)
    if not app.test or not kept.is_file() or not mark.is_file():
        return False
    return mark.read_text() == _ran(app, kept)


def archive(
    app: App, source: Path, listed: list[Path], kept: Path, label: str, progress: Progress, test: bool = False
) -> None:
    """Build `listed` files of a source into the archive `kept`, and `test` it where the build was made.

    Raises GateSaidNo with the end of the log when the build or a test fails; `kept` is untouched then.
    """
    log = log_dir() / f"build-{label}.log"
    with tempfile.TemporaryDirectory(prefix="till-build-") as temporary:
        place = Path(temporary) / app.name
        sources.copy(source, listed, place)
        with log.open("w") as output:
            _run_all("build", app.build, place, app, output, log, progress)
            result = place / app.artefact
            if not result.is_dir() or not any(result.iterdir()):
                raise GateSaidNo(f"the build of {app.name} left no folder {app.artefact!r}", f"less {log}")
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
            try:
                # Before the tests: what they leave behind is not shipped.
                sources.pack(result, partial)
                if test:
                    _run_all("test", app.test, place, app, output, log, progress)
                partial.rename(kept)
            finally:
                partial.unlink(missing_ok=True)
    if test and app.test:
        _mark(kept).write_text(_ran(app, kept))


def _mark(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.tests")


def _ran(app: App, kept: Path) -> str:
    """A mark's text; of another archive or other commands it is another one."""
    return json.dumps({"sha256": sources.file_digest(kept).hex(), "test": app.test})


def _run_all(
    what: str, commands: list[str], place: Path, app: App, output: IO[str], log: Path, progress: Progress
) -> None:
    for command in commands:
        progress.say(f"{what}: {command}")
        _run(what, command, place, app, output, log)


def _run(what: str, command: str, place: Path, app: App, output: IO[str], log: Path) -> None:
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
        raise GateSaidNo(
            f"the {what} of {app.name} failed: `{command}` {ended}; nothing was released\n    {tail}", f"less {log}"
        )

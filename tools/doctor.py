"""What is there, which way it came, and what to run where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools import apprise, cached, docker_engine, host_images, host_package, machine, paths, patroni, pulumi_cli, venv
from tools.command import output
from tools.directus import bundle, directus_version
from tools.failure import StepFailed
from tools.pins import pins, version

FIX = "tools/setup"


@dataclass(frozen=True)
class Check:
    """One tool. `version` is what was found ("" when nothing was), `fix` the command that mends it ("" when ok)."""

    name: str
    ok: bool
    version: str
    came_by: str
    fix: str


def checks() -> list[Check]:
    """Everything Till runs on, in the order in which set-up makes it. Reads only."""
    of_this_machine = (_python, _pulumi, _random, _debian, _docker)
    of_hosts = (_node, _directus, _patroni, _apprise, _host_package)
    return [check() for check in (*of_this_machine, *of_hosts, _passphrase)] + [
        _image("till-host", host_images.host_image),
        _image("till-lab", host_images.lab_image),
    ]


def _check(name: str, found: str | None, came_by: str, wanted: str | None = None, fix: str = FIX) -> Check:
    ok = bool(found) and wanted in (None, found)
    return Check(name, ok, found or "", came_by if found else "", "" if ok else fix)


def _python() -> Check:
    found = output([paths.VENV / "bin" / "python", "-c", "import platform; print(platform.python_version())"])
    current = venv.is_current()
    return Check("python packages", bool(found) and current, found or "", "pypi", "" if found and current else FIX)


def _pulumi() -> Check:
    found = pulumi_cli.version_of(paths.pulumi_bin() / "pulumi")
    return _check("pulumi", found, cached.came_by("pulumi"), version("pulumi"))


def _random() -> Check:
    program = paths.random_plugin() / "pulumi-resource-random"
    found = version("pulumi_random") if program.exists() else None
    return _check("pulumi plugin random", found, cached.came_by("random plugin"))


def _debian() -> Check:
    lacking = machine.missing(pins()["debian"]["programs"])
    fix = f"apt-get update && apt-get install {' '.join(lacking)}"
    return Check("debian packages", not lacking, "" if lacking else "present", "debian", fix if lacking else "")


def _docker() -> Check:
    return _check("docker engine", docker_engine.version(), "debian", fix="tools/setup --only debian,docker")


def _node() -> Check:
    found = _made(paths.node_archive(), version("node"))
    return _check("node archive", found, cached.came_by("node"))


def _directus() -> Check:
    return _check("directus bundle", _made(bundle(), directus_version()), "npm")


def _patroni() -> Check:
    wheels = patroni.wheels()
    return _check("patroni wheels", _made(wheels, wheels.name.split(".")[0]), "pypi")


def _apprise() -> Check:
    packages = apprise.packages()
    return _check("apprise", _made(packages, packages.name.split(".")[0]), "pypi")


def _host_package() -> Check:
    return _check("programs of hosts", _made(host_package.wheel(), host_package.package_version()), "build")


def _passphrase() -> Check:
    kept = paths.PASSPHRASE.exists() and paths.PASSPHRASE.stat().st_mode & 0o077 == 0
    fix = f"chmod 0600 {paths.PASSPHRASE}" if paths.PASSPHRASE.exists() else FIX
    return Check("passphrase", kept, "0600" if kept else "", "tools/setup", "" if kept else fix)


def _image(name: str, wanted: Callable[[], str]) -> Check:
    try:
        image = wanted()
    except StepFailed as error:
        return Check(f"image {name}", False, "", "", error.next_command or FIX)
    found = output(["docker", "image", "inspect", "--format", "{{.Id}}", image])
    tag = image.partition(":")[2]
    return _check(f"image {name}", tag if found else None, cached.came_by(f"image {name}"))


def _made(file: Path, its_version: str) -> str | None:
    return its_version if file.exists() else None


if __name__ == "__main__":
    for check in checks():
        state = "ok" if check.ok else f"next: {check.fix}"
        print(f"{check.name:<22} {check.version:<14} {check.came_by:<14} {state}")

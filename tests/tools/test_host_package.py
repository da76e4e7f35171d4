"""The wheel of host programs, laid down in a folder: whole or not at all, one version at a time, running ones kept."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from till_host import installation
from tools import host_package, paths

DEADLINE_S = 30
# What roles install on hosts, as Debian packages or beside Patroni and apprise.
PACKAGES = {"apprise", "dns", "jinja2", "psycopg2", "urllib3", "yaml"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout's wheel, built anew in a cache of its own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, (folder / "log").open("w") as log:
        patch.setenv("TILL_CACHE", str(folder))
        assert host_package.install(log) == "build", (folder / "log").read_text()
        assert host_package.install(log) == "present"
        return host_package.wheel()


def other(wheel: Path, folder: Path, version: str) -> Path:
    """The same wheel as another version, whose program `slots` says it."""
    found = installation.wheel_version(wheel)
    copy = folder / f"till_host-{version}.whl"
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(copy, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith("METADATA"):
                content = content.replace(f"Version: {found}".encode(), f"Version: {version}".encode())
            if name == "till_host/slots/program.py":
                content = f"import time\ndef main():\n    print({version!r}, flush=True)\n    time.sleep(60)\n".encode()
            after.writestr(name, content)
    return copy


@pytest.fixture(autouse=True)
def one_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "PYTHON_OF", dict.fromkeys(installation.PYTHON_OF, sys.executable))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def begun(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([folder / "current" / "bin" / "slots"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_wheel_of_the_same_content_is_the_same_file(wheel: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, (tmp_path / "log").open("w") as log:
        patch.setenv("TILL_CACHE", str(tmp_path))
        host_package.install(log)
        assert host_package.wheel().read_bytes() == wheel.read_bytes()


def test_every_module_of_the_source_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if name.endswith(".py")}
    source = {str(path.relative_to(paths.CHECKOUT)) for path in host_package.sources() if path.suffix == ".py"}
    assert there == source


def test_what_is_laid_down_is_whole_compiled_and_laid_down_once(wheel: Path, tmp_path: Path) -> None:
    version = host_package.package_version()
    assert installation.install(wheel, tmp_path) == [f"laid down {version}", f"switched to {version}"]
    assert installation.install(wheel, tmp_path) == []
    programs = {path.name for path in (tmp_path / "current" / "bin").iterdir()}
    assert {"slots", "switchover", "host-package", "site-order"} <= programs
    compiled = list((tmp_path / "current" / "till_host").rglob("*.pyc"))
    assert len(compiled) == len(list((tmp_path / "current" / "till_host").rglob("*.py")))


@pytest.mark.parametrize("program", ["backup", "lease", "release", "restore", "slots", "wal-archive"])
def test_a_program_runs_from_where_it_was_laid_down(wheel: Path, tmp_path: Path, program: str) -> None:
    installation.install(wheel, tmp_path)
    done = subprocess.run(
        [tmp_path / "current" / "bin" / program, "--help"], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: {program} " in done.stdout


def test_a_version_that_runs_stays_until_it_has_ended(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "host"
    installation.install(other(wheel, tmp_path, "1.0.0+a"), folder)
    process, said = begun(folder)
    try:
        assert said == "1.0.0+a"
        assert installation.held_version(process.pid, folder) == folder / "1.0.0+a"
        assert installation.install(other(wheel, tmp_path, "1.0.0+b"), folder) == [
            "laid down 1.0.0+b", "switched to 1.0.0+b",
        ]  # fmt: skip
        assert (folder / "1.0.0+a").is_dir()
        second, said = begun(folder)
        second.kill()
        second.communicate()
        assert said == "1.0.0+b"
    finally:
        process.kill()
        process.communicate()
    assert installation.prune(folder) == ["removed 1.0.0+a"]
    assert names(folder) == ["1.0.0+b", "current"]


def test_a_cut_off_installation_is_done_again(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any step, a host has the version of before or the new one, and the next run ends with the new one."""
    folder = tmp_path / "host"
    old, new = other(wheel, tmp_path, "1.0.0+a"), other(wheel, tmp_path, "1.0.0+b")
    installation.install(old, folder)
    for step in ("unpack", "sync_tree", "files.move", "files.point"):
        with monkeypatch.context() as broken:

            def cut(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            broken.setattr(f"till_host.installation.{step}", cut)
            with pytest.raises(KeyboardInterrupt):
                installation.install(new, folder)
        assert installation.current(folder) == folder / "1.0.0+a"
        process, said = begun(folder)
        process.kill()
        process.communicate()
        assert said == "1.0.0+a", step
    installation.install(new, folder)
    assert installation.current(folder) == folder / "1.0.0+b"
    deadline = time.monotonic() + DEADLINE_S
    while (folder / "1.0.0+a").is_dir() and time.monotonic() < deadline:
        installation.prune(folder)
    assert names(folder) == ["1.0.0+b", "current"]


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `systemctl` tells of units; each restart is written down as `restarted`."""
    told = {"listed": "", "shown": "", "restarted": ""}

    def systemctl(*words: str) -> str:
        if words[0] == "restart":
            told["restarted"] += f"{words[1]} "
        return {"list-units": told["listed"], "show": told["shown"]}.get(words[0], "")

    monkeypatch.setattr(installation, "systemctl", systemctl)
    return told


def test_units_of_another_version_are_restarted_and_work_with_an_end_is_not(
    wheel: Path, tmp_path: Path, units: dict[str, str]
) -> None:
    folder = tmp_path / "host"
    installation.install(other(wheel, tmp_path, "1.0.0+a"), folder)
    stale, _ = begun(folder)
    drill, _ = begun(folder)
    installation.install(other(wheel, tmp_path, "1.0.0+b"), folder)
    fresh, _ = begun(folder)
    try:
        kinds = {"till-stale.service": (stale, "simple"), "till-drill.service": (drill, "oneshot"),
                 "till-fresh.service": (fresh, "simple")}  # fmt: skip
        units["listed"] = "".join(f"{name} loaded active running Some\n" for name in kinds)
        units["listed"] += "till-foreign.service loaded active running Some\n"
        units["shown"] = "\n\n".join(
            f"Type={kind}\nMainPID={process.pid}\nId={name}" for name, (process, kind) in kinds.items()
        )
        units["shown"] += f"\n\nType=simple\nMainPID={os.getpid()}\nId=till-foreign.service\n"
        assert installation.restart_units(folder) == ["restarted till-stale.service"]
        assert units["restarted"].split() == ["till-stale.service"]
    finally:
        for process in (stale, drill, fresh):
            process.kill()
            process.communicate()


def test_programs_of_before_go_but_for_one_that_is_still_named(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, former, units = tmp_path / "host", tmp_path / "lib", tmp_path / "units"
    installation.install(wheel, folder)
    (former / "directus").mkdir(parents=True)
    (former / "__pycache__").mkdir()
    for name in ("slots", "release", "release-watch", "till_etcd.py", "incident_document.py", "write-hosts"):
        (former / name).touch()
    units.mkdir()
    (units / "one.service").write_text(f"ExecStart={former}/release-watch run\n")
    monkeypatch.setattr(installation, "CONFIGURATION", (units, tmp_path / "none"))
    removed = installation.remove_former(folder, former)
    assert removed == [
        f"removed {former / name}"
        for name in ("__pycache__", "incident_document.py", "release", "slots", "till_etcd.py")
    ]
    assert names(former) == ["directus", "release-watch", "write-hosts"]
    assert installation.remove_former(folder, former) == []


def imported(path: Path) -> set[str]:
    """Top names of what a module imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_the_package_imports_what_a_host_has_and_nothing_of_the_runner() -> None:
    of_hosts = {"till_host", *PACKAGES, *sys.stdlib_module_names}
    foreign = {path.name: imported(path) - of_hosts for path in host_package.SOURCE.rglob("*.py")}
    assert {name: found for name, found in foreign.items() if found} == {}

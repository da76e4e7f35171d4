"""Lay this package down on a host, and lead the units that run from it to the version laid down.

    PYTHONPATH=WHEEL python3 -m till_host.installation install WHEEL
    host-package restart-units
    host-package remove-former

A version is a folder in /opt/till-host with the wheel's content and a program in bin/ for each entry point; the link
`current` is switched when the folder is whole, so that a host never runs parts of two versions. A program holds a
shared lock on its version's folder for as long as it runs: what nobody holds is removed, and a unit whose main process
holds another folder than the current one is restarted. Each verb prints a line for each thing that it changed, and
nothing when there was nothing to do. Ends with 1 and a sentence when it can't be done.
"""

from __future__ import annotations

import argparse
import compileall
import configparser
import fcntl
import os
import py_compile
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from till_host import files

FOLDER = Path("/opt/till-host")
CURRENT = "current"
# Where each program and module stood by itself, up to version 1.0.0.
FORMER = Path("/usr/local/lib/till")
# Where a file may still name a program of before.
CONFIGURATION = (Path("/etc/systemd/system"), Path("/etc/ssh"), Path("/etc/patroni"), Path("/etc/till"))
PYTHON_OF = {"console_scripts": "/usr/bin/python3", "till_host.patroni": "/opt/patroni/bin/python"}
# A program's own start: the lock is inherited by nobody and ends with the process.
PROGRAM = """#!{python} -I
import fcntl, os, sys
folder = {folder!r}
version = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
fcntl.flock(version, fcntl.LOCK_SH)
sys.path.insert(0, folder)
from {module} import {function}
sys.exit({function}())
"""
# Work that has an end is not cut off: it holds its version until then.
LASTING = ("simple", "exec", "notify")


def install(wheel: Path, folder: Path = FOLDER) -> list[str]:
    """Lay the wheel's version down and make it the current one."""
    version = folder / wheel_version(wheel)
    done = list[str]()
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not version.is_dir():
        partial = version.with_name(f".{version.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        unpack(wheel, partial, version)
        sync_tree(partial)
        files.move(partial, version)
        done.append(f"laid down {version.name}")
    if current(folder) != version:
        files.point(folder / CURRENT, version.name)
        done.append(f"switched to {version.name}")
    return done


def wheel_version(wheel: Path) -> str:
    """The version in a wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return next(line.removeprefix("Version: ") for line in lines if line.startswith("Version: "))


def unpack(wheel: Path, partial: Path, version: Path) -> None:
    """The wheel's content, compiled, and a program for each entry point, as they will stand in `version`."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    entries = configparser.ConfigParser()
    entries.optionxform = str  # type: ignore[assignment, method-assign]
    entries.read_string(next(partial.glob("*.dist-info/entry_points.txt")).read_text())
    (partial / "bin").mkdir()
    for group, python in PYTHON_OF.items():
        for name, place in entries[group].items():
            module, _, function = place.partition(":")
            program = partial / "bin" / name
            program.write_text(PROGRAM.format(python=python, folder=str(version), module=module, function=function))
            program.chmod(0o755)
    # By content: a host's clock or a copy of the files must not make each start compile.
    compiled = compileall.compile_dir(
        partial, quiet=1, stripdir=str(partial), prependdir=str(version),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip
    if not compiled:
        raise OSError(f"{wheel} holds a module that can't be compiled")


def current(folder: Path) -> Path | None:
    """The version's folder that `current` leads to."""
    link = folder / CURRENT
    return folder / link.readlink() if link.is_symlink() else None


def prune(folder: Path) -> list[str]:
    """Remove versions that are not the current one and that no program holds.

    Not at once after a switch: a program that was just begun by the link of before has not taken its lock yet.
    """
    removed = list[str]()
    for version in sorted(folder.iterdir()):
        if version.is_symlink() or not version.is_dir() or version == current(folder):
            continue
        opened = os.open(version, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(version)
            removed.append(f"removed {version.name}")
        except BlockingIOError:
            continue
        finally:
            os.close(opened)
    return removed


def restart_units(folder: Path = FOLDER) -> list[str]:
    """Restart each lasting unit whose main process runs from another version than the current one."""
    wanted = (folder / CURRENT).resolve()
    stale = [unit for unit, held in running(folder) if held != wanted]
    for unit in stale:
        systemctl("restart", unit)
    return [*(f"restarted {unit}" for unit in stale), *prune(folder)]


def running(folder: Path) -> Iterator[tuple[str, Path]]:
    """Lasting units whose main process holds a version, with that version's folder."""
    listed = systemctl("list-units", "--type=service", "--state=active", "--plain", "--no-legend", "till-*")
    units = [line.split()[0] for line in listed.splitlines() if line.strip()]
    if not units:
        return
    for block in systemctl("show", "--property=Id,MainPID,Type", *units).split("\n\n"):
        told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if told.get("Type") in LASTING and (held := held_version(int(told["MainPID"]), folder)):
            yield told["Id"], held


def held_version(process: int, folder: Path) -> Path | None:
    """The version's folder that a process has open; None when it runs from none."""
    try:
        opened = sorted(Path(f"/proc/{process}/fd").iterdir())
        places = [Path(str(one.readlink()).removesuffix(" (deleted)")) for one in opened]
    except OSError:
        return None
    return next((place for place in places if place.parent == folder), None)


def remove_former(folder: Path = FOLDER, former: Path = FORMER) -> list[str]:
    """Remove what stood by itself before there was a package; what the host's configuration still names stays."""
    programs = {path.name for path in (folder / CURRENT / "bin").iterdir()} - named_programs(former)
    names = {*programs, "incident_document.py", "__pycache__", *(path.name for path in former.glob("till_*.py"))}
    removed = [former / name for name in sorted(names) if (former / name).exists()]
    for path in removed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return [f"removed {path}" for path in removed]


def named_programs(former: Path) -> set[str]:
    """Programs of a folder that a file of the host's configuration names."""
    found = set[str]()
    for top in CONFIGURATION:
        for path in top.rglob("*") if top.is_dir() else ():
            if path.is_file():
                found |= set(re.findall(rf"{re.escape(str(former))}/([\w.-]+)", path.read_text(errors="replace")))
    return found


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise OSError(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def sync_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        files.sync(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("install").add_argument("wheel", type=Path)
    verbs.add_parser("restart-units")
    verbs.add_parser("remove-former")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "install":
            changed = install(arguments.wheel)
        else:
            changed = restart_units() if arguments.verb == "restart-units" else remove_former()
    except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, StopIteration) as reason:
        print(f"host-package: {reason}", file=sys.stderr)
        return 1
    print("\n".join(changed), end="\n" if changed else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())

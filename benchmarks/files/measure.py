"""Runs inside the benchmark's container: `measure.py REQUEST`, a JSON object; prints one JSON object.

`does` names the request: `time` a program until what it wrote is flushed, `probe` the disk, `compare` two data
directories page by page, `facts` of the machine.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Where hosts have Till's own programs; the disk is probed by the function that drills use.
PROGRAMS = "/opt/till-host/current"
PAGE_BYTES = 8192
PAGES_AT_ONCE = 512
CPU_V1 = Path("/sys/fs/cgroup/cpuacct/cpuacct.usage")
CPU_V2 = Path("/sys/fs/cgroup/cpu.stat")


def timed(request: dict[str, Any]) -> dict[str, Any]:
    """Run `argv` as postgres with cold files below `cold`; seconds until every file below `flush` is on the disk."""
    if request["empty"]:
        shutil.rmtree(request["flush"], ignore_errors=True)
        folder = Path(request["flush"])
        folder.mkdir(mode=0o700)
        shutil.chown(folder, "postgres", "postgres")
    os.sync()
    for folder_name in request["cold"]:
        evict(Path(folder_name))
    began, cpu_began = time.monotonic(), cpu_s()
    argv = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *request["argv"]]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, cwd="/")
    ended = time.monotonic()
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(request['argv'])}: {(done.stdout + done.stderr).strip()[-1500:]}")
    flush(Path(request["flush"]))
    flushed = time.monotonic()
    return {
        "elapsed_s": flushed - began,
        "flush_s": flushed - ended,
        "cpu_s": cpu_s() - cpu_began,
        "bytes": tree_bytes(Path(request["flush"])),
    }


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """The disk's sequential write rate, as drills measure it, over `bytes`."""
    sys.path.insert(0, PROGRAMS)
    os.sync()
    rate = importlib.import_module("till_host.backups.scratch").write_rate(
        Path(request["folder"]), request["bytes"] >> 20
    )
    return {"bytes_per_s": float(rate)}


def compare(request: dict[str, Any]) -> dict[str, Any]:
    """Pages of the relations below `base` and `global`, and how many differ between `left` and `right`."""
    left, right = Path(request["left"]), Path(request["right"])
    names = sorted({path.relative_to(root) for root in (left, right) for path in relations(root)})
    pages = changed = files = 0
    for name in names:
        found, differing = page_difference(left / name, right / name)
        pages, changed, files = pages + found, changed + differing, files + bool(differing)
    return {"pages": pages, "changed_pages": changed, "files": len(names), "changed_files": files}


def relations(root: Path) -> Iterator[Path]:
    """Files of tables and indexes, by their names: a number, then a fork or a segment."""
    for folder in ("base", "global"):
        for path in (root / folder).rglob("*"):
            if re.fullmatch(r"\d+(_(fsm|vm|init))?(\.\d+)?", path.name) and path.is_file():
                yield path


def page_difference(left: Path, right: Path) -> tuple[int, int]:
    """(pages of the longer file, pages that differ); a missing file has none."""
    sizes = [path.stat().st_size if path.exists() else 0 for path in (left, right)]
    pages = max(sizes) // PAGE_BYTES
    if min(sizes) == 0:
        return pages, pages
    changed = 0
    step = PAGE_BYTES * PAGES_AT_ONCE
    with left.open("rb") as one, right.open("rb") as other:
        for _ in range(0, max(sizes), step):
            a, b = one.read(step), other.read(step)
            if a != b:
                places = range(0, max(len(a), len(b)), PAGE_BYTES)
                changed += sum(a[at : at + PAGE_BYTES] != b[at : at + PAGE_BYTES] for at in places)
    return pages, changed


def facts(request: dict[str, Any]) -> dict[str, Any]:
    """Cores, memory, disk and versions; `free_bytes` is what the folder's disk has left."""
    folder = request["folder"]
    device = Path(folder).stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    queue = next((place / "queue" for place in (block, block.parent) if (place / "queue").is_dir()), None)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model[1].strip() if model else platform.machine(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk": disk_kind(block.name, (queue / "rotational").read_text().strip() if queue else ""),
        "file_system": next((mount[2] for mount in mounts if mount[1] == folder), "unknown"),
        "free_bytes": shutil.disk_usage(folder).free,
        "postgresql": said("/usr/lib/postgresql/15/bin/postgres", "--version"),
        "pgbackrest": said("pgbackrest", "version"),
    }


def disk_kind(device: str, rotational: str) -> str:
    """What kind of disk a block device is; of a virtual one the kernel does not know."""
    if device.startswith(("vd", "xvd")):
        return "virtual"
    return {"0": "solid state", "1": "rotating"}.get(rotational, "of unknown kind")


def said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def tree(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def tree_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in tree(folder))


def evict(folder: Path) -> None:
    """Let the kernel forget these files' pages: a restore on a new host finds nothing in memory."""
    for path in tree(folder):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def flush(folder: Path) -> None:
    """fsync of every file, and of every folder for its names."""
    for path in [*tree(folder), *(path for path in folder.rglob("*") if path.is_dir()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cpu_s() -> float:
    """Seconds of processor time of this container so far; the kernel's own writing back is not in it."""
    if CPU_V1.exists():
        return int(CPU_V1.read_text()) / 1e9
    found = re.search(r"usage_usec (\d+)", CPU_V2.read_text())
    return int(found[1]) / 1e6 if found else 0.0


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    answer = {"time": timed, "probe": probe, "compare": compare, "facts": facts}[asked["does"]]
    print(json.dumps(answer(asked)))

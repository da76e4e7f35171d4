"""Keep the stored logs to their ages and sizes, as /etc/till/logs/retention.json says.

    log-retention           divide, compress and remove
    log-retention --check   print what would be done

Files are LEVEL/HOST/DAY.jsonl, divided ones DAY.N.jsonl; a file of an earlier day, or a divided one, becomes .gz.
Exit codes: 0 done, 2 bad usage.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from till_host import files

POLICY = Path("/etc/till/logs/retention.json")
RECEIVER = "till-log-store.service"
NAME = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)(?:\.(?P<part>\d+))?\.jsonl(?P<packed>\.gz)?")
MB = 1_000_000


@dataclass(frozen=True)
class Kept:
    """A file of events; `part` 0 is the day's own, to which the receiver writes."""

    path: Path
    level: str
    day: date
    part: int
    packed: bool
    size: int
    changed_at_s: float


@dataclass(frozen=True)
class Deed:
    """What to do with a file: divide, compress or remove; `early` when its size, not its age, is the reason."""

    verb: str
    path: Path
    early: bool = False


def kept(folder: Path, levels: Iterable[str]) -> list[Kept]:
    """Every file of events below the folder; what has another name is not ours."""
    found = []
    for level in levels:
        for path in sorted((folder / level).glob("*/*")):
            if (named := NAME.fullmatch(path.name)) and path.is_file() and not path.is_symlink():
                day, told = date.fromisoformat(named["day"]), path.stat()
                part, packed = int(named["part"] or 0), bool(named["packed"])
                found.append(Kept(path, level, day, part, packed, told.st_size, told.st_mtime))
    return found


def plan(files: Iterable[Kept], policy: dict[str, Any], now_s: float) -> Iterator[Deed]:
    """What the policy asks for, oldest first. The file that is written to is never removed."""
    today = datetime.fromtimestamp(now_s, UTC).date()
    stays: dict[str, list[Kept]] = {}
    for one in sorted(files, key=lambda one: (one.day, one.part or sys.maxsize)):
        complete = one.day < today or one.part > 0
        if (today - one.day).days > policy["kept_days"][one.level]:
            yield Deed("remove", one.path)
            continue
        stays.setdefault(one.level, []).append(one)
        if complete and not one.packed and now_s - one.changed_at_s > policy["settled_after_s"]:
            yield Deed("compress", one.path)
        elif not complete and one.size > policy["file_max_mb"] * MB:
            yield Deed("divide", one.path)
    for level, ones in stays.items():
        surplus = sum(one.size for one in ones) - policy["max_mb"][level] * MB
        for one in ones:
            if surplus > 0 and (one.day < today or one.part > 0):
                surplus -= one.size
                yield Deed("remove", one.path, early=True)


def compress(path: Path) -> None:
    """Replace a file by its .gz of the same age; a run that is cut off leaves the original."""
    packed, told = path.with_name(path.name + ".gz"), path.stat()
    unfinished = packed.with_name(f".{packed.name}")
    with path.open("rb") as plain, gzip.open(unfinished, "wb") as target:
        shutil.copyfileobj(plain, target)
    unfinished.chmod(0o640)
    os.utime(unfinished, (told.st_atime, told.st_mtime))
    files.sync(unfinished)
    files.move(unfinished, packed)
    path.unlink()


def divide(path: Path) -> None:
    """Give a day's file its next part's name; the receiver begins a new one when it is told."""
    day = path.name.removesuffix(".jsonl")
    parts = [
        int(named["part"]) for one in path.parent.iterdir() if (named := NAME.fullmatch(one.name)) and named["part"]
    ]
    files.move(path, path.with_name(f"{day}.{max(parts, default=0) + 1}.jsonl"))


def reopen_files() -> None:
    """Tell the receiver, whose user is ours, to open its files anew."""
    shown = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", RECEIVER], capture_output=True, text=True, check=True
    )
    if pid := int(shown.stdout):
        os.kill(pid, signal.SIGHUP)


def carry_out(deed: Deed) -> None:
    if deed.verb == "divide":
        divide(deed.path)
    elif deed.path.exists() and deed.verb == "compress":
        compress(deed.path)
    else:
        # One that this run has compressed is gone under its old name.
        for path in (deed.path, deed.path.with_name(deed.path.name + ".gz")):
            path.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    policy = json.loads(POLICY.read_text())
    deeds = list(plan(kept(Path(policy["folder"]), policy["kept_days"]), policy, time.time()))
    for deed in deeds:
        if not arguments:
            carry_out(deed)
        # journald takes the level from the line.
        reason = ", before its time: its level is over its size (logs_max_mb)" if deed.early else ""
        print(f"{'<4>' if deed.early and not arguments else ''}{deed.verb} {deed.path}{reason}")
    if not arguments and any(deed.verb == "divide" for deed in deeds):
        reopen_files()
    return 0

"""What is to be on the disk is there before the next step: traced system calls, and a kill before each of them.

A kill alone keeps the page cache and proves nothing of a power cut: the order of the calls does.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from till.paths import CHECKOUT
from till_host import files

CALLS = "write,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat"
TRACE = ("-f", "-y", "-qq", "-s", "200", "-e", f"trace={CALLS}")
OLD, NEW = "old\n", "new\n"


def traced(folder: Path, script: str, *options: str) -> tuple[int, list[tuple[str, str]]]:
    """Exit code of a program, and its calls on files below a folder: the call and the file that it was for."""
    log, program = folder.parent / "trace", f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n{script}"
    done = subprocess.run(
        ["strace", *TRACE, *options, "-o", log, sys.executable, "-c", program],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
    calls = []
    for line in log.read_text().splitlines():
        found = re.match(r"\d+ +(\w+)\((.*)", line)
        if found is None or str(folder) not in found[2]:
            continue
        paths = re.findall(rf"({re.escape(str(folder))}[^\">]*)", found[2])
        # Who writes a file gives it its last name in the end: a rename is of its target.
        calls.append((re.sub(r"at2?$", "", found[1]), paths[-1] if found[1].startswith("rename") else paths[0]))
    return done.returncode, calls


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "state.json").write_text(OLD)
    return tmp_path / "place"


def replacing(place: Path) -> str:
    return (
        "import pathlib; from till_host import files\n"
        f"files.replace(pathlib.Path({str(place / 'state.json')!r}), {NEW!r}, 0o640)"
    )


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_next_step(place: Path) -> None:
    code, calls = traced(place, replacing(place))
    assert code == 0
    kinds = [(call, re.sub(r"\.\d+\.partial$", ".partial", path)) for call, path in calls]
    partial, state = str(place / ".state.json.partial"), str(place / "state.json")
    assert kinds == [("write", partial), ("fsync", partial), ("rename", state), ("fsync", str(place))]
    assert (place / "state.json").read_text() == NEW
    assert (place / "state.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("call", "number", "there"),
    [("fsync", 1, OLD), ("rename", 1, OLD), ("fsync", 2, NEW)],
)
def test_killed_before_each_call_the_file_is_the_old_or_the_new_one(
    place: Path, call: str, number: int, there: str
) -> None:
    code, _ = traced(place, replacing(place), "-e", f"inject={call}:signal=KILL:when={number}")
    assert code != 0
    assert (place / "state.json").read_text() == there
    files.replace(place / "state.json", NEW)
    assert (place / "state.json").read_text() == NEW


def test_a_write_that_fails_leaves_the_old_one_and_no_part(place: Path) -> None:
    code = subprocess.run(
        ["strace", "-qq", "-e", "inject=fsync:error=ENOSPC", "-o", "/dev/null", sys.executable, "-c",
         f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n{replacing(place)}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "No space left on device" in code.stderr
    assert [path.name for path in place.iterdir()] == ["state.json"]
    assert (place / "state.json").read_text() == OLD


def test_what_is_shown_all_the_time_costs_no_sync(place: Path) -> None:
    script = replacing(place).replace("files.replace(", "files.publish(")
    _, calls = traced(place, script)
    assert [call for call, _ in calls] == ["write", "rename"]
    assert (place / "state.json").read_text() == NEW


def test_a_link_and_a_moved_folder_are_on_the_disk_too(place: Path) -> None:
    (place / "one").mkdir()
    (place / "other").mkdir()
    (place / "link").symlink_to("nowhere")
    script = (
        "import pathlib; from till_host import files\n"
        f"place = pathlib.Path({str(place)!r})\n"
        "files.point(place / 'link', 'one'); files.move(place / 'state.json', place / 'other' / 'state.json')"
    )
    _, calls = traced(place, script)
    assert [call for call, _ in calls] == ["symlink", "rename", "fsync", "rename", "fsync", "fsync"]
    assert [path for call, path in calls if call == "fsync"] == [str(place), str(place / "other"), str(place)]
    assert (place / "link").readlink() == Path("one")


# The program's swap with paths in a folder of the test and without PostgreSQL: what it asks of systemd and pg_ctl says
# that nothing runs.
SWAP = """
import json, pathlib
from till_host.backups import restore
place = pathlib.Path({place!r})
restore.STATE, restore.held = place / "state.json", lambda policy: None
policy = {{"data_dir": str(place / "main"), "bin_dir": "/bin", "port": 5497}}
restore.swap(policy)
"""


@pytest.fixture
def proven(place: Path) -> Path:
    """A restore that has only its databases to swap."""
    (place / "state.json").write_text(json.dumps({"to": "latest", "repository": 1, "phase": "proven"}))
    for folder, name in ((place / "main", "old"), (place / "restoring" / "data", "new")):
        folder.mkdir(parents=True)
        (folder / name).touch()
    return place


def test_each_step_of_a_swap_is_on_the_disk_before_the_next_begins(proven: Path) -> None:
    code, calls = traced(proven, SWAP.format(place=str(proven)))
    assert code == 0
    steps = [f"{call} {Path(path).name}" for call, path in calls]
    shown = [re.sub(r"\d{8}T\d{6}Z", "TIME", re.sub(r"\.\d+\.partial", ".partial", step)) for step in steps]
    kept = ["write .state.json.partial", "fsync .state.json.partial", "rename state.json", "fsync place"]
    assert shown == [
        *kept, "rename main.replaced-TIME", "fsync place", "rename main", "fsync place", "fsync restoring", *kept,
    ]  # fmt: skip
    assert json.loads((proven / "state.json").read_text())["phase"] == "swapped"


@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_swap_killed_before_any_call_is_ended_by_the_next(proven: Path, call: str, number: int) -> None:
    script = SWAP.format(place=str(proven))
    code, _ = traced(proven, script, "-e", f"inject={call}:signal=KILL:when={number}")
    assert code != 0
    code, _ = traced(proven, script)
    assert code == 0
    assert (proven / "main" / "new").exists()
    replaced = [path for path in proven.iterdir() if path.name.startswith("main.replaced-")]
    assert [(path / "old").exists() for path in replaced] == [True]
    assert json.loads((proven / "state.json").read_text())["phase"] == "swapped"

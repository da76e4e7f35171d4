"""Which tests run, in what order and in which process; where `make test-faults` stands.

`make test`: two processes. One has the lab and runs its tests one after the other, the second runs everything else.
`make test-faults`: one process, the shards of faults.yml; what passed on the same code is not run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from xdist.scheduler import LoadScopeScheduling

CHECKOUT = Path(__file__).resolve().parent.parent
LAB_FOLDERS = ("tests/browser/", "tests/fleet/")
LAB_SCOPE = "lab"
# On a lab that no other test has broken and mended.
FIRST = "tests/fleet/test_converged.py"
MATRIX = "matrix"
SHARDS_FILE = Path(__file__).with_name("faults.yml")
RESULTS = CHECKOUT / ".till" / "tests" / "faults.jsonl"
# All of the matrix that was collected, whatever of it runs.
TESTS = pytest.StashKey[set[str]]()


@dataclass(frozen=True)
class Shard:
    number: int
    rooms: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """How a test of the matrix ended, on which code."""

    test: str
    tree: str
    outcome: str
    duration_s: float
    at: float


@cache
def shards() -> tuple[Shard, ...]:
    rows = YAML(typ="safe").load(SHARDS_FILE)
    return tuple(Shard(number, tuple(row["rooms"]), tuple(row["files"])) for number, row in enumerate(rows, 1))


def parse_shards(asked: str) -> tuple[Shard, ...]:
    """The shards that `SHARD=` names: `all`, or `2/8`; UsageError for any other."""
    if asked == "all":
        return shards()
    number, _, count = asked.partition("/")
    last = len(shards())
    if not number.isdecimal() or count != str(last) or not 1 <= int(number) <= last:
        raise pytest.UsageError(f"there is no shard {asked}: SHARD=1/{last} to {last}/{last}")
    return (shards()[int(number) - 1],)


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def needs_lab(nodeid: str) -> bool:
    return nodeid.startswith(LAB_FOLDERS)


def scope(nodeid: str) -> str:
    """What runs in one process: the tests of the lab, or another file."""
    return LAB_SCOPE if needs_lab(nodeid) else file_of(nodeid)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("till").addoption(
        "--faults", metavar="SHARD", help="only the fault matrix: `all` or one shard (`2/8`); what passed is left out"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """The lab's tests first, and of these the one of a lab that just came up; the matrix in the order of its table."""
    config.stash[TESTS] = {item.nodeid for item in items if item.get_closest_marker(MATRIX)}
    # Other choices (-k, -m) are made meanwhile.
    yield
    asked = config.getoption("--faults")
    if asked is None:
        items.sort(key=lambda item: (not needs_lab(item.nodeid), file_of(item.nodeid) != FIRST))
        return
    files = [file for shard in parse_shards(asked) for file in shard.files]
    matrix = [item for item in items if item.get_closest_marker(MATRIX) and file_of(item.nodeid) in files]
    passed = passed_tests(read_results(RESULTS), code_tree())
    chosen = [item for item in matrix if item.nodeid not in passed]
    chosen.sort(key=lambda item: files.index(file_of(item.nodeid)))
    kept = {item.nodeid for item in chosen}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
    items[:] = chosen


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """All of the matrix passed before: nothing was left to run, and that is no failure."""
    nothing_left = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.stash.get(TESTS, None)
    if nothing_left:
        session.exitstatus = pytest.ExitCode.OK


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Each test of the matrix is kept as soon as it has ended, so that a run that is cut off can go on later."""
    if item.config.getoption("--faults") is None:
        return (yield)
    began = time.time()
    item.stash[OUTCOMES] = []
    answer = yield
    outcomes = item.stash[OUTCOMES]
    outcome = "failed" if "failed" in outcomes else "skipped" if "skipped" in outcomes else "passed"
    if outcomes:
        keep_result(RESULTS, Result(item.nodeid, code_tree(), outcome, round(time.time() - began, 1), began))
    return answer


OUTCOMES = pytest.StashKey[list[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    if OUTCOMES in item.stash:
        item.stash[OUTCOMES].append(report.outcome)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--faults") is None or TESTS not in config.stash:
        return
    terminalreporter.section("fault matrix on this code")
    for line in format_table(config.stash[TESTS], read_results(RESULTS), code_tree()):
        terminalreporter.write_line(line)


def format_table(tests: set[str], results: list[Result], tree: str) -> list[str]:
    """A line for each shard: what passed, failed and was not run on this code, and how long its tests took in all."""
    newest = {one.test: one for one in results if one.tree == tree}
    lines = [f"{'shard':<7}{'passed':>7}{'failed':>8}{'not run':>9}{'minutes':>9}  rooms"]
    for shard in shards():
        of_shard = [test for test in tests if file_of(test) in shard.files]
        ran = [newest[test] for test in of_shard if test in newest]
        passed = sum(one.outcome == "passed" for one in ran)
        lines.append(
            f"{shard.number}/{len(shards()):<5}{passed:>7}{len(ran) - passed:>8}{len(of_shard) - len(ran):>9}"
            f"{sum(one.duration_s for one in ran) / 60:>9.1f}  {', '.join(shard.rooms)}"
        )
    return lines


def keep_result(file: Path, result: Result) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as results:
        results.write(json.dumps(asdict(result)) + "\n")


def read_results(file: Path) -> list[Result]:
    """All that were kept, oldest first; a line that was cut off is none."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            found.append(Result(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def passed_tests(results: list[Result], tree: str) -> set[str]:
    """Tests that passed the last time that they ran on this code."""
    newest = {one.test: one.outcome for one in results if one.tree == tree}
    return {test for test, outcome in newest.items() if outcome == "passed"}


@cache
def code_tree() -> str:
    """The hash of all code in the checkout as it is now, committed or not; texts for people are left out."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GIT_INDEX_FILE": f"{folder}/index"}
        for command in (["add", "--all", "--", ".", ":!docs", ":!*.md", ":!Pulumi.lab.yaml"], ["write-tree"]):
            done = subprocess.run(
                ["git", *command], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
            )
    return done.stdout.strip()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Scopes in the order of the collection, to whichever process has done its own."""
    config.option.loadscopereorder = False
    return ByScope(config, log)


class ByScope(LoadScopeScheduling):
    def schedule(self) -> None:
        # By their numbers, whichever was ready first.
        self.assigned_work = dict(sorted(self.assigned_work.items(), key=lambda entry: str(entry[0].gateway.id)))
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)

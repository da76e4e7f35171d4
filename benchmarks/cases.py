"""What is measured beside what, in rounds: a shared disk's rate varies, so each round probes it between restores."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import database, outcome, repositories
from benchmarks.container import WORK, Container
from benchmarks.database import SOURCE
from benchmarks.repositories import RESTORED, Repository
from benchmarks.settings import restore_processes, role

TILL, DEFAULTS, BASEBACKUP = "Till's settings", "pgBackRest's defaults", "pg_basebackup"
# What a delta finds changed, and how it looks: by checksum, or by size and time alone (pgBackRest's --force).
DELTAS = {
    "delta, random": ("random", ()),
    "delta, recent": ("recent", ()),
    "delta by size and time, recent": ("recent", ("--force",)),
}
CASE_TIMEOUT_S = 3600
Say = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """A way to get a data directory back; `changed` pages make it a delta over a copy that differs."""

    name: str
    argv: tuple[str, ...]
    reads: str
    changed: str = ""


@dataclass
class Bench:
    """The container with its source and repositories, and what was measured in it so far."""

    container: Container
    size_bytes: int
    changed_pages_ratio: float
    say: Say
    repositories: dict[str, dict[str, float]] = field(default_factory=dict)
    disk_bytes_per_s: list[float] = field(default_factory=list)
    runs: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    changes: dict[str, list[dict[str, int]]] = field(default_factory=dict)
    rows: int = 0

    def prepare(self, tries: Sequence[Mapping[str, str]]) -> list[Case]:
        """Make the source and every repository; the cases that can be measured on them."""
        self.say("making the database")
        self.rows = database.make(self.container, self.size_bytes)
        stanza, key = role("pgbackrest")["pgbackrest_stanza"], secrets.token_hex(32)
        # A restore of Till's names its processes itself.
        till_processes = f"--process-max={restore_processes()}"
        conf = repositories.till_conf(key)
        till = self._repository("till", conf, stanza)
        defaults = self._repository("defaults", repositories.default_conf(stanza), stanza)
        cases = [
            Case(TILL, tuple(till.restore(till_processes)), till.folder),
            Case(DEFAULTS, tuple(defaults.restore()), defaults.folder),
            Case(BASEBACKUP, tuple(basebackup()), SOURCE),
        ]
        cases += deltas(TILL, till, till_processes)
        for number, options in enumerate(tries, 1):
            name = ",".join(f"{option}={value}" for option, value in options.items())
            tried = self._tried(f"try-{number}", repositories.with_options(conf, dict(options)), stanza, options, till)
            cases.append(Case(name, tuple(tried.restore()), tried.folder))
            cases += deltas(name, tried)
        return cases

    def measure(self, cases: Sequence[Case], rounds: int) -> None:
        """Every case once a round, the disk before and after each; its rate for a case is the mean of the two."""
        before = self._probe()
        for number in range(1, rounds + 1):
            for case in cases:
                self.say(f"round {number} of {rounds}: {case.name}")
                run = self._run(case)
                after = self._probe()
                self.runs.setdefault(case.name, []).append({**run, "disk_bytes_per_s": (before + after) / 2})
                before = after

    def check(self, case: Case) -> None:
        """The last restore gave back every page and row; raises RuntimeError otherwise."""
        differing = self._compare()["changed_pages"]
        found = database.rows(self.container, RESTORED)
        if differing or found != self.rows:
            raise RuntimeError(f"{case.name}: {differing} pages differ and {found} of {self.rows} rows are there")

    def _run(self, case: Case) -> dict[str, float]:
        if case.changed:
            database.change(self.container, RESTORED, case.changed, self.changed_pages_ratio)
            self.changes.setdefault(case.changed, []).append(self._compare())
        serves = case.name == BASEBACKUP
        if serves:
            database.start(self.container, SOURCE)
        try:
            return self.container.measure(
                "time",
                CASE_TIMEOUT_S,
                argv=case.argv,
                cold=[case.reads, RESTORED],
                flush=RESTORED,
                empty=not case.changed,
            )
        finally:
            if serves:
                database.stop(self.container, SOURCE)

    def _repository(self, name: str, conf: str, stanza: str) -> Repository:
        self.say(f"backup into repository {name}")
        made = repositories.configure(self.container, name, conf, stanza)
        self.repositories[name] = repositories.back_up(self.container, made)
        return made

    def _tried(self, name: str, conf: str, stanza: str, options: Mapping[str, str], till: Repository) -> Repository:
        """A repository of its own where the options change a backup, else Till's under another configuration."""
        if repositories.needs_backup(dict(options)):
            return self._repository(name, conf, stanza)
        repositories.configure(self.container, name, conf, stanza)
        return Repository(name, stanza, at=till.folder)

    def _compare(self) -> dict[str, int]:
        found = self.container.measure("compare", CASE_TIMEOUT_S, left=SOURCE, right=RESTORED)
        return {key: int(value) for key, value in found.items()}

    def _probe(self) -> float:
        told = self.container.measure("probe", CASE_TIMEOUT_S, folder=WORK, bytes=self.size_bytes)
        self.disk_bytes_per_s.append(float(told["bytes_per_s"]))
        return self.disk_bytes_per_s[-1]


def deltas(name: str, repository: Repository, *options: str) -> list[Case]:
    """The deltas beside a full restore that is called `name`."""
    return [
        Case(f"{name}, {kind}", tuple(repository.restore(*options, "--delta", *how)), repository.folder, changed)
        for kind, (changed, how) in DELTAS.items()
    ]


def basebackup() -> list[str]:
    """A plain copy of the running source, as a new replica is made."""
    where = [f"--host={database.SOCKET}", "--username=postgres", f"--pgdata={RESTORED}"]
    return [f"{database.BIN}/pg_basebackup", *where, "--format=plain", "--checkpoint=fast", "--wal-method=stream"]


def result(bench: Bench, cases: Sequence[Case], facts: Mapping[str, Any], bars: Mapping[str, float]) -> dict[str, Any]:
    """Everything that was measured, as one object."""
    disk = outcome.spread(bench.disk_bytes_per_s)
    figures = {case.name: outcome.of_case(bench.runs[case.name], int(facts["cores"])) for case in cases}
    database_bytes = bench.runs[TILL][-1]["bytes"]
    return {
        "machine": dict(facts),
        "database_bytes": database_bytes,
        "database_rows": bench.rows,
        "repositories": {
            name: {**made, "compression_ratio": database_bytes / made["bytes"]}
            for name, made in bench.repositories.items()
        },
        "disk_bytes_per_s": {**disk, "all": bench.disk_bytes_per_s},
        "cases": figures,
        "changed_pages_ratio": {
            what: outcome.spread([one["changed_pages"] / one["pages"] for one in found])
            for what, found in bench.changes.items()
        },
        "changed_files": {
            what: [found[-1]["changed_files"], found[-1]["files"]] for what, found in bench.changes.items()
        },
        "bars": outcome.verdicts(figures[TILL], {kind: figures[f"{TILL}, {kind}"] for kind in DELTAS}, bars),
    }

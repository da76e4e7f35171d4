"""A database restored beside the running one: fetched, recovered, looked into, stopped. It never archives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from till_host.backups import pgbackrest
from till_host.backups.pgbackrest import AS_POSTGRES
from till_host.faults import Fault

POLL_S = 0.2
LOG_LINES = 12
HBA = """# Managed by Till: whoever reaches the socket's folder (0700) is the database's own user.
local all all trust
{roads}
"""
# What recovery says when it can't go where it was sent; the rest of its log is of no use to a person.
DEAD_ENDS = (
    ("recovery ended before configured recovery target", "the archive ends before the target"),
    ("recovery stop point is before consistent", "the target lies before the chosen backup's end"),
    ("could not locate a valid checkpoint record", "the backup has no valid checkpoint"),
)


class Scratch:
    """A data directory below `folder` (owner postgres, 0700), served on `port` of this host alone."""

    def __init__(self, folder: Path, bin_dir: str, port: int) -> None:
        self.folder, self.bin_dir, self.port = folder, bin_dir, port
        self.data, self.socket, self.log = folder / "data", folder / "run", folder / "postgres.log"

    def prepare(self) -> None:
        """Make the folders; what is in a data directory that a cut-off run left stays, for a delta."""
        for path in (self.folder, self.data, self.socket):
            path.mkdir(mode=0o700, exist_ok=True, parents=True)
            shutil.chown(path, "postgres", "postgres")
        self.log.unlink(missing_ok=True)

    def fetch(
        self, stanza: str, label: str, target: list[str], processes: int, timeout_s: float, repository: int = 1
    ) -> None:
        """Restore a backup set into the data directory; `target` are pgBackRest's options of where to recover to.

        0 processes are as many as there are cores. Its WAL comes from the same repository: another one may be the
        reason for the restore.
        """
        delta = ["--delta"] if any(self.data.iterdir()) else []
        source = [f"--set={label}", f"--process-max={processes or os.cpu_count() or 1}"]
        wal = f'pgbackrest --stanza={stanza} --repo={repository} --pg1-path={self.data} archive-get %f "%p"'
        options = [f"--pg1-path={self.data}", *source, f"--recovery-option=restore_command={wal}", *delta, *target]
        pgbackrest.pgbackrest(stanza, "restore", *options, repository=repository, timeout_s=timeout_s)

    def start(self, archive_mode: str, roads: str = "", listen: str = "") -> None:
        """Start PostgreSQL; `archive_mode` off, or on with an archiver that fails: what it has to archive waits."""
        (self.folder / "pg_hba.conf").write_text(HBA.format(roads=roads))
        given = {
            "port": str(self.port),
            "listen_addresses": listen,
            "unix_socket_directories": str(self.socket),
            "hba_file": str(self.folder / "pg_hba.conf"),
            "archive_mode": archive_mode,
            "archive_command": "/bin/false",
            "synchronous_standby_names": "",
            "primary_conninfo": "",
            "ssl": "off",
            "logging_collector": "off",
        }
        shutil.chown(self.folder / "pg_hba.conf", "postgres", "postgres")
        options = " ".join(f"-c {name}={value or quoted_empty()}" for name, value in given.items())
        argv = [*AS_POSTGRES, f"{self.bin_dir}/pg_ctl", "start", "-D", str(self.data), "-l", str(self.log)]
        argv += ["-W", "-s", "-o", options]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd="/")
        if done.returncode != 0:
            raise Fault(f"the restored database does not start: {done.stderr.strip()[:500]}")

    def until_recovered(self, deadline_s: float) -> None:
        """Wait until recovery has ended and writes are taken; Fault with recovery's own words otherwise."""
        deadline = time.monotonic() + deadline_s
        while True:
            try:
                if self.ask("SELECT pg_is_in_recovery()") == "f":
                    return
            except Fault as reason:
                # Its first words come after its pid file: one that has said nothing may be starting still.
                spoke = self.log.exists() and self.log.stat().st_size > 0
                if spoke and not self.runs():
                    raise Fault(f"recovery failed: {self.last_words()}") from None
                told = str(reason)
            else:
                told = "still in recovery"
            if time.monotonic() > deadline:
                raise Fault(f"the restored database is not ready after {deadline_s:.0f} s: {told}; {self.last_words()}")
            time.sleep(POLL_S)

    def runs(self) -> bool:
        argv = [*AS_POSTGRES, f"{self.bin_dir}/pg_ctl", "status", "-D", str(self.data), "-s"]
        return subprocess.run(argv, capture_output=True, check=False, timeout=30, cwd="/").returncode == 0

    def ask(self, query: str, database: str = "postgres", timeout_s: float = 600) -> str:
        """One query through the socket."""
        options = ("--host", str(self.socket), "--port", str(self.port), "--username", "postgres")
        return pgbackrest.psql(query, options=options, database=database, timeout_s=timeout_s)

    def check_structure(self, databases: list[str], timeout_s: float) -> None:
        """amcheck over every table and B-tree of the databases; Fault with the first findings."""
        argv = [*AS_POSTGRES, f"{self.bin_dir}/pg_amcheck", "--install-missing", "--heapallindexed", "--jobs=2"]
        argv += ["--host", str(self.socket), "--port", str(self.port), "--username", "postgres"]
        argv += [f"--database={database}" for database in databases]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout_s, cwd="/")
        if done.returncode != 0:
            raise Fault(f"amcheck: {(done.stdout + done.stderr).strip()[:800]}")

    def stop(self) -> None:
        """Stop it in order, or by force; a database that does not run is fine."""
        for mode in ("fast", "immediate"):
            if not self.runs():
                return
            argv = [*AS_POSTGRES, f"{self.bin_dir}/pg_ctl", "stop", "-D", str(self.data), "-s", "-m", mode, "-t", "30"]
            subprocess.run(argv, capture_output=True, check=False, timeout=60, cwd="/")

    def remove(self) -> None:
        """Stop it and remove everything of it."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self) -> str:
        """Why recovery ended, in a sentence where it is a known reason, else the log's last errors."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return reason_of(lines)


def quoted_empty() -> str:
    """An empty value as pg_ctl's shell hands it through."""
    return "''"


def reason_of(lines: list[str]) -> str:
    """The reason in a log of PostgreSQL's recovery. Pure."""
    text = "\n".join(lines)
    for sign, sentence in DEAD_ENDS:
        if sign in text:
            last = re.findall(r"last completed transaction was at log time (\S+ \S+)", text)
            return sentence + (f"; its last transaction is of {last[-1]}" if last else "")
    bad = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR):", line)]
    return " | ".join((bad or lines)[-LOG_LINES:])[:1200] or "no reason given"


def write_rate(folder: Path, size_mb: int) -> float:
    """The disk's sequential write rate (bytes/s), flushed at the end; random bytes, as zeros would be too easy."""
    block = os.urandom(4 << 20)
    path = folder / "write-rate"
    began = time.monotonic()
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(max(1, size_mb // 4)):
                file.write(block)
            os.fsync(file.fileno())
        return max(1, size_mb // 4) * len(block) / (time.monotonic() - began)
    finally:
        path.unlink(missing_ok=True)


def tree_bytes(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


FORMS = """
SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex'; SET LOCAL intervalstyle = 'postgres'
"""
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname),
       (SELECT coalesce(string_agg(format(', coalesce(sum(%I), 0)', a.attname), '' ORDER BY a.attnum), '')
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND a.atttypid = 'numeric'::regtype)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
 ORDER BY 1
"""


def fingerprint(cursor: Any) -> dict[str, list[str]]:
    """Each table of a database: [rows, hash of all rows in any order, sum of each numeric column], as texts.

    `cursor` is a DB-API cursor inside a transaction; two equal databases of one PostgreSQL version give equal prints.
    """
    cursor.execute(FORMS)
    cursor.execute(TABLES)
    found = {}
    for table, sums in cursor.fetchall():
        whole = "coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)"
        cursor.execute(f"SELECT count(*), {whole}{sums} FROM {table} t")  # noqa: S608 - quoted by format()
        found[table] = [str(value) for value in cursor.fetchone()]
    return found

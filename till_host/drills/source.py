"""The running database as a drill sees it: a marked moment, and what every table held at it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions

from till_host import patroni
from till_host.backups.scratch import fingerprint
from till_host.faults import Fault
from till_host.https import CA

LOGINS = "/etc/till/credentials/drill_logins"
LOCK_TIMEOUT_MS = 2000
LOCK_ATTEMPTS = 5
USER_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_' ORDER BY 1
"""


@contextmanager
def connection(**place: Any) -> Iterator[Any]:
    """A cursor in a read-only snapshot of a database."""
    link = psycopg2.connect(user="postgres", connect_timeout=5, **place)
    try:
        link.set_session(isolation_level="REPEATABLE READ", readonly=True)
        yield link.cursor()
    finally:
        link.close()


class Source:
    """A marked moment of the leader: `segment` holds the mark; `fingerprint` tells what a database held then."""

    def __init__(self, host: str, links: ExitStack, snapshots: dict[str, Any], marked: dict[str, Any]) -> None:
        self.host, self._links, self._snapshots = host, links, snapshots
        self.databases = sorted(snapshots)
        self.marked_at: float = marked["at"]
        self.segment: str = marked["segment"]
        self.segment_bytes: int = marked["segment_bytes"]

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._links.close()

    def fingerprint(self, database: str) -> dict[str, list[str]]:
        return fingerprint(self._snapshots[database])


def leader(hosts: list[str]) -> str:
    """The host that leads, by Patroni's word; Fault when none does."""
    if found := patroni.find_leader(hosts):
        return found[0]
    raise Fault("no database leads, so there is nothing to compare a restored one with: till status")


def mark(rules: dict[str, Any], name: str) -> Source:
    """Write the restore point `name` and take a snapshot of every database at that very moment.

    Writers wait for it: a moment, and LOCK_TIMEOUT_MS at most, after which they go on and it is tried again.
    """
    host = leader([member["name"] for member in rules["databases"]])
    place = {"host": host, "port": 5432, "sslmode": "verify-full", "sslrootcert": CA, "passfile": LOGINS}
    links = ExitStack()
    try:
        for attempt in range(1, LOCK_ATTEMPTS + 1):
            try:
                return _mark(place, host, name, links)
            except psycopg2.extensions.QueryCanceledError:
                if attempt == LOCK_ATTEMPTS:
                    raise
            except psycopg2.errors.LockNotAvailable:
                if attempt == LOCK_ATTEMPTS:
                    raise Fault(
                        f"writers held a table of {host} for {LOCK_ATTEMPTS} times {LOCK_TIMEOUT_MS} ms"
                    ) from None
            links.close()
            time.sleep(attempt)
        raise AssertionError
    except psycopg2.OperationalError as reason:
        links.close()
        raise Fault(f"{host}: {str(reason).strip().splitlines()[0]}") from None
    except BaseException:
        links.close()
        raise


def _mark(place: dict[str, Any], host: str, name: str, links: ExitStack) -> Source:
    databases = _databases(place)
    holders = []
    # All locks first, then all snapshots: between them nothing is written anywhere.
    for database in databases:
        link = psycopg2.connect(user="postgres", dbname=database, connect_timeout=5, **place)
        links.callback(link.close)
        holders.append(link)
        cursor = link.cursor()
        cursor.execute("SET lock_timeout = %s", (LOCK_TIMEOUT_MS,))
        cursor.execute(USER_TABLES)
        if tables := [row[0] for row in cursor.fetchall()]:
            cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE MODE")
    snapshots = {}
    for database in databases:
        cursor = links.enter_context(connection(dbname=database, **place))
        cursor.execute("SELECT 1")
        snapshots[database] = cursor
    first = holders[0].cursor()
    first.execute(
        "SELECT pg_walfile_name(pg_create_restore_point(%s)), setting::bigint"
        " FROM pg_settings WHERE name = 'wal_segment_size'",
        (name,),
    )
    segment, segment_bytes = first.fetchone()
    marked = {"at": time.time(), "segment": segment, "segment_bytes": segment_bytes}
    for link in holders:
        link.close()
    return Source(host, links, snapshots, marked)


def _databases(place: dict[str, Any]) -> list[str]:
    with connection(dbname="postgres", **place) as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1")
        found = [row[0] for row in cursor.fetchall()]
    if not found:
        raise Fault("the cluster holds no database")
    return found

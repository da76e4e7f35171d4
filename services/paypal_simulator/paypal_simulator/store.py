"""What the simulator remembers, in SQLite: a restart or a kill loses nothing that was answered."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS done (request_id TEXT, path TEXT, kind TEXT, id TEXT, PRIMARY KEY (request_id, path));
CREATE TABLE IF NOT EXISTS tokens (hash TEXT PRIMARY KEY, until REAL NOT NULL);
"""


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Store:
    """Documents by kind (order, capture, refund, webhook, delivery, fault) and id; what a request id did; tokens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "paypal.sqlite3", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # Commits outlive the process; only the whole machine's power could take the last ones.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the writes inside, or none. Not across an await: there is one connection."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """A document, or None."""
        row = self._db.execute("SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, key: str, body: dict[str, Any]) -> None:
        """Write or replace a document; its place in the order of its kind stays."""
        self._db.execute(
            "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(body)),
        )

    def remove(self, kind: str, key: str) -> bool:
        """Whether there was one."""
        return self._db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key)).rowcount > 0

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every document of a kind, in the order in which they were made."""
        rows = self._db.execute("SELECT body FROM documents WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def done(self, request_id: str, path: str) -> tuple[str, str] | None:
        """Kind and id of what a request made before."""
        row = self._db.execute("SELECT kind, id FROM done WHERE request_id = ? AND path = ?", (request_id, path))
        found = row.fetchone()
        return (found[0], found[1]) if found else None

    def keep_done(self, request_id: str, path: str, kind: str, key: str) -> None:
        """Remember what a request made."""
        self._db.execute("INSERT INTO done VALUES (?, ?, ?, ?)", (request_id, path, kind, key))

    def keep_token(self, token: str, lifetime_s: float) -> None:
        """Remember a token (its hash alone) until it ends; forget those that ended."""
        now = time.time()
        self._db.execute("DELETE FROM tokens WHERE until < ?", (now,))
        self._db.execute("INSERT INTO tokens VALUES (?, ?)", (_hash(token), now + lifetime_s))

    def knows_token(self, token: str) -> bool:
        """Whether the token is ours and has not ended."""
        query = "SELECT 1 FROM tokens WHERE hash = ? AND until > ?"
        return self._db.execute(query, (_hash(token), time.time())).fetchone() is not None

    def close(self) -> None:
        """Close the database."""
        self._db.close()

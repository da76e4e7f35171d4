"""What the simulator remembers, in SQLite: a restart loses nothing."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS answers (request_id TEXT, path TEXT, status INTEGER, body TEXT, PRIMARY KEY (request_id, path));
"""


class Store:
    """Documents by kind (order, capture, refund, webhook, event) and id; answers by PayPal-Request-Id."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "paypal.sqlite3", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(SCHEMA)

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """A document, or None."""
        row = self._db.execute("SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, key: str, body: dict[str, Any]) -> None:
        """Write or replace a document."""
        self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, json.dumps(body)))

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every document of a kind, in the order in which they were made."""
        rows = self._db.execute("SELECT body FROM documents WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def answer(self, request_id: str, path: str) -> tuple[int, dict[str, Any]] | None:
        """What was answered to a request id before."""
        row = self._db.execute(
            "SELECT status, body FROM answers WHERE request_id = ? AND path = ?", (request_id, path)
        ).fetchone()
        return (row[0], json.loads(row[1])) if row else None

    def keep_answer(self, request_id: str, path: str, status: int, body: dict[str, Any]) -> None:
        """Keep the answer to a request id."""
        self._db.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", (request_id, path, status, json.dumps(body))
        )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

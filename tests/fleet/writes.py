"""Writers on single hosts, each to its own copy of the database alone: what PostgreSQL acknowledged there, and when."""

from __future__ import annotations

import subprocess
from types import TracebackType

from tests.fleet.conftest import container, inside
from tests.fleet.database import PSQL

TABLE = "till_test_acknowledged"
OVER = "/tmp/till-test-writes-over"
# Every statement is a connection of its own, so that none outlives a role that its server has lost.
WRITER = f"""
host=$(hostname) number=0 until=$(($(date +%s) + $0))
rm -f {OVER}
while [ "$(date +%s)" -lt "$until" ] && [ ! -e {OVER} ]; do
    number=$((number + 1)) id=$host-$(date +%s%N)
    {PSQL} "INSERT INTO {TABLE} VALUES ('$id')" directus >/dev/null 2>&1 && echo "$(date +%s.%N) $id"
    sleep 0.25
done
"""


class Writes:
    """Writes on every one of these hosts while the block runs, for `limit_s` at most."""

    def __init__(self, leader: str, *hosts: str, limit_s: int = 90) -> None:
        self.hosts, self.limit_s = hosts, limit_s
        self.acknowledged: dict[str, tuple[str, float]] = {}
        inside(leader, f"{PSQL} 'CREATE TABLE IF NOT EXISTS {TABLE} (id text PRIMARY KEY)' directus")

    def __enter__(self) -> Writes:
        self._writers = {
            host: subprocess.Popen(
                ["docker", "exec", container(host), "bash", "-c", WRITER, str(self.limit_s)],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            for host in self.hosts
        }  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        for host, writer in self._writers.items():
            subprocess.run(["docker", "exec", container(host), "touch", OVER], check=False, capture_output=True)
            # The last statement may wait for a copy: its answer, or the end of its connection, is part of the story.
            out, _ = writer.communicate(timeout=self.limit_s + 60)
            for line in out.splitlines():
                at, name = line.split()
                self.acknowledged[name] = (host, float(at))

    def after(self, host: str, at: float) -> list[str]:
        """What this host acknowledged after that time (s since the epoch)."""
        return [name for name, (where, when) in self.acknowledged.items() if where == host and when > at]

    def missing(self, leader: str) -> set[str]:
        """What was acknowledged anywhere and is not there."""
        return set(self.acknowledged) - set(inside(leader, f"{PSQL} 'SELECT id FROM {TABLE}' directus").split())

    def drop(self, leader: str) -> None:
        inside(leader, f"{PSQL} 'DROP TABLE IF EXISTS {TABLE}' directus")

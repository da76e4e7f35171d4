"""The fleet's database and its repository, as tests see, break and heal them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till
from till import restore
from till.paths import CHECKOUT, VENV_BIN
from till.workplace import opened

REPOSITORY = "/var/lib/pgbackrest"
CONF = "/etc/pgbackrest/pgbackrest.conf"
PSQL = "runuser -u postgres -- psql -XAtqc"


@contextmanager
def fault(host: str, begin: str, heal: str) -> Iterator[None]:
    """Something broken on a host for the time of the block."""
    inside(host, begin)
    try:
        yield
    finally:
        inside(host, heal)


def until(what: str, holds: Any, deadline_s: float = 60) -> None:
    deadline = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def faults() -> list[str]:
    code, told, _ = till("backup", "list", STACK)
    assert code == 0, told
    return list(told["faults"])


def host_suite(*names: str) -> subprocess.CompletedProcess[str]:
    """The host suite's checks of backups, as `till verify` runs them."""
    chosen = ["tests/hosts/test_backups.py", "-k", " or ".join(names)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": f"{VENV_BIN}:/usr/bin:/bin", "HOME": str(Path.home()), "TILL_STACK": STACK},
    )  # fmt: skip


def leads(lab: Contract) -> str:
    """The host whose database leads; "" when none does."""
    with opened(lab) as workplace:
        return restore.leader(workplace)


def leader(lab: Contract) -> str:
    until("no database leads", lambda: leads(lab), 90)
    return leads(lab)


def segments(count: int, host: str = "ops") -> list[str]:
    """The files of the newest segments in the repository, oldest first."""
    by_time = f"find {REPOSITORY}/archive -name '*.zst' -printf '%T@ %p\\n' | sort -n"
    return inside(host, f"{by_time} | tail -{count} | cut -d' ' -f2").splitlines()


def newest_segment(host: str = "ops") -> str:
    return inside(
        host, f"find {REPOSITORY}/archive -name '*.zst' -printf '%T@ %p\\n' | sort -n | tail -1 | cut -d' ' -f2"
    ).strip()


def write_wal(lab: Contract, segments: int = 1) -> None:
    """Fill and archive some segments."""
    for number in range(segments):
        inside(
            leader(lab), f"{PSQL} \"SELECT pg_logical_emit_message(true, 'till-test', '{number}'), pg_switch_wal()\""
        )


def archived(lab: Contract) -> Any:
    with opened(lab) as workplace:
        told = workplace.ssh(restore.leader(workplace) or "ops", "/usr/local/lib/till/wal-archive facts")
    facts = json.loads(told.stdout or "{}")
    return facts.get("leads") and not facts["ready_files"] and not facts["failing"]

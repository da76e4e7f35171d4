"""A host that can't be reached by SSH is exit code 4, whichever part of the runner asks it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.till.conftest import QUIET, contract_of, host
from till.approvals import facts
from till.changes import journal_head
from till.errors import HostUnreachable
from till.hosts import programs
from till.hosts.session import UNREACHED, Session
from till.platforms.vps import slots
from till.recovery import config_backup
from till.recovery.drills import host_unit, restore
from till.rollout import release_watch

ROLES = ["edge", "app", "database", "etcd", "monitoring", "backup_repository", "log_store"]


class Away:
    """A session of one host to which SSH finds no way."""

    contract = contract_of(host("alpha", roles=ROLES))

    def ssh(self, *_words: str, timeout_s: int = 30) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], UNREACHED, "", "No route to host\n")

    def talk(self, *_words: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        program = f"import sys; sys.stdin.read(); sys.exit({UNREACHED})"
        return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe)


ASKED: dict[str, Callable[[Session], Any]] = {
    "a program": lambda at: programs.run_host_program(
        at, "alpha", "slots", "show", timeout_s=5, next_command="till status lab"
    ),
    "slots": slots.read,
    "results of drills": lambda at: host_unit.results(at, "restore"),
    "another drill": host_unit.refuse_second,
    "a drill": lambda at: restore.run(at, 1, QUIET),
    "the config backup": lambda at: config_backup._told(at, "alpha"),
    "the journal's head": journal_head.read,
    "the watch": release_watch.read_watch,
    "the watch that is begun": lambda at: release_watch._asked(at, "begin", given={"version": "v1.0.0"}),
    "the log store": facts._logs,
    "alerts": facts._alerts,
}


@pytest.mark.parametrize("asked", ASKED)
def test_it_is_named_with_the_next_command(asked: str) -> None:
    with pytest.raises(HostUnreachable, match="host alpha can't be reached by SSH: ") as told:
        ASKED[asked](cast(Session, Away()))
    assert told.value.exit_code == 4 and told.value.next_command.startswith("till status ")

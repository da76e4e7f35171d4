"""Which host a restore is on, also after one that was cut off before that host knew of it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.contract import Contract
from tests.till.conftest import contract_of, host
from till.errors import Refused
from till.recovery import restore

BEGUN = {"phase": "fetched", "to": "latest", "repository": 1}


@pytest.fixture
def contract() -> Contract:
    return contract_of(*[host(name, roles=["edge", "app", "database"]) for name in ("alpha", "bravo", "ops")])


@pytest.mark.parametrize(
    ("asked", "leads", "progress", "chosen"),
    [
        ("", "", {}, "alpha"),
        ("", "bravo", {}, "bravo"),
        ("ops", "bravo", {}, "ops"),
        # Copies were stopped by a run that was killed then: nobody leads, and no host has a state of it.
        ("", "", {"alpha": {"stopped_for": "bravo"}, "ops": {"stopped_for": "bravo"}}, "bravo"),
        ("", "", {"alpha": {"stopped_for": "bravo"}, "bravo": {**BEGUN, "stopped_for": "bravo"}}, "bravo"),
        ("ops", "", {"alpha": {"stopped_for": "bravo"}}, "ops"),
        # A replica is stopped, the leader still runs.
        ("", "bravo", {"alpha": {"stopped_for": "bravo"}}, "bravo"),
        # A host that has no database in this stack, as of a contract of before.
        ("", "", {"alpha": {"stopped_for": "charlie"}}, "alpha"),
        ("", "", {"ops": BEGUN}, "ops"),
    ],
)
def test_where_a_restore_goes_on(
    contract: Contract, asked: str, leads: str, progress: dict[str, dict[str, Any]], chosen: str
) -> None:
    assert restore.target_host(contract, asked, leads, progress) == chosen


def test_what_was_begun_elsewhere_is_named(contract: Contract) -> None:
    with pytest.raises(Refused, match="unfinished on bravo"):
        restore.target_host(contract, "alpha", "", {"alpha": {"stopped_for": "bravo"}, "bravo": BEGUN})


def test_a_copy_that_is_merely_stopped_is_no_restore_that_was_begun() -> None:
    assert restore.unfinished({"alpha": {"stopped_for": "bravo"}, "bravo": BEGUN}) == {"bravo": BEGUN}

"""A move away from a host that is gone: when it is refused, and why nobody could be elected."""

from __future__ import annotations

import pytest

from infra.contract import Contract
from tests.till.conftest import contract_of, host
from till.errors import Refused
from till.recovery import forced_failover
from till.recovery.promotion_target import Seen, leads_well, refuse_unconfirmed

LEADS = [{"name": "alpha", "role": "Leader", "state": "running", "lag_mb": None}]


@pytest.fixture
def contract() -> Contract:
    return contract_of(*(host(name, roles=["database", "etcd"]) for name in ("alpha", "bravo", "ops")))


def test_a_living_leader_is_to_be_moved_as_planned(contract: Contract) -> None:
    with pytest.raises(Refused) as refused:
        forced_failover.refuse_living(contract, Seen("alpha", LEADS), "bravo")
    assert "alpha, which leads, answers and runs" in refused.value.message
    assert "till failover lab --to bravo;" in refused.value.next_command


@pytest.mark.parametrize(
    ("seen", "well"),
    [
        (Seen("alpha", LEADS), True),
        (Seen("alpha", LEADS, {"alpha": "timed out"}), False),
        (Seen("alpha", [{**LEADS[0], "state": "crashed"}]), False),
        (Seen("", []), False),
    ],
)
def test_who_can_hand_over(seen: Seen, well: bool) -> None:
    assert leads_well(seen) is well


def test_without_a_majority_of_the_store_nobody_can_be_elected(contract: Contract) -> None:
    gone = {"alpha": "timed out", "bravo": "timed out"}
    assert "1 of 3 members of the consensus store are left (ops)" in forced_failover.no_majority(
        contract, Seen("", [], gone)
    )
    assert forced_failover.no_majority(contract, Seen("", [], {"alpha": "timed out"})) == ""


def test_production_asks_for_the_name_and_says_what_is_believed(contract: Contract) -> None:
    production = contract.model_copy(update={"environment": "production", "stack": "production"})
    with pytest.raises(Refused) as refused:
        refuse_unconfirmed(production, "alpha", "failover", "bravo", "", force=True)
    assert "alpha is said to be gone" in refused.value.message
    assert refused.value.next_command == "till failover production --to bravo --force --confirm production"

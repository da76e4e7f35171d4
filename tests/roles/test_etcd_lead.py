"""Which member of the consensus store is to lead: the decision."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from till_host.database import etcd_leader

ALPHA, OPS = "https://192.0.2.1:2379", "https://192.0.2.3:2379"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return etcd_leader


def status(endpoint: str, member: int, leader: int) -> dict[str, Any]:
    return {"Endpoint": endpoint, "Status": {"header": {"member_id": member}, "leader": leader}}


def test_another_leader_gives_way_to_the_preferred_member(program: ModuleType) -> None:
    assert program.to_move([status(ALPHA, 161, 161), status(OPS, 227, 161)], OPS) == (ALPHA, "e3")


@pytest.mark.parametrize(
    "told",
    [
        [status(ALPHA, 161, 227), status(OPS, 227, 227)],
        [status(ALPHA, 161, 161)],
        [status(OPS, 227, 161)],
        [status(ALPHA, 161, 0), status(OPS, 227, 0)],
    ],
    ids=["it leads", "it is away", "the leader is away", "nobody leads"],
)
def test_else_nothing_moves(program: ModuleType, told: list[dict[str, Any]]) -> None:
    assert program.to_move(told, OPS) == ("", "")

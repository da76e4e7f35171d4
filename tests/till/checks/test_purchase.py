"""A purchase's first question: one 503 of a moment is no verdict, one that stays is."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest

from tests.till.conftest import QUIET, contract_of, host
from till.checks import purchase
from till.errors import GateSaidNo
from till.observe import probe
from till.policy import thresholds

HEADERS = dict.fromkeys(thresholds()["security_headers"], "x")
WELL = httpx.Response(200, headers=HEADERS, json={"status": "ok", "version": "v1.0.0"})
UNWELL = httpx.Response(503, headers=HEADERS, json={"status": "degraded"})


class Shop:
    """Answers health as it is told, and refuses what is no order."""

    def __init__(self, *health: httpx.Response) -> None:
        self.health = list(health)

    def ask(self, method: str, _path: str, **_: Any) -> httpx.Response:
        if method == "POST":
            return httpx.Response(400, json={})
        return self.health.pop(0) if len(self.health) > 1 else self.health[0]


def healthy(shop: Shop) -> str:
    contract = contract_of(host("alpha", roles=["edge"]))
    return purchase._healthy(contract, cast(probe.Site, shop), purchase._Steps(QUIET, 60))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchase, "HEALTH_INTERVAL_S", 0.01)


def test_a_shop_that_is_not_well_for_a_moment_is_asked_again() -> None:
    assert healthy(Shop(UNWELL, UNWELL, WELL)) == "v1.0.0"


def test_one_that_stays_so_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(thresholds()["smoke"], "health_within_s", 0.1)
    with pytest.raises(GateSaidNo, match="GET /api/health answered 503, not 200"):
        healthy(Shop(UNWELL))

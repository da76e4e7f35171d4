"""What the shop acknowledged, what the database holds and what PayPal's simulator captured, set against each other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from infra.contract import Contract
from tests.fleet.conftest import inside
from tests.fleet.database import PSQL, leader
from tests.fleet.load import Load
from till.checks.purchase import SIMULATOR_PORT
from till.observe import probe

ORDERS = "SELECT payment_intent_id FROM orders"


def orders(lab: Contract) -> Counter[str]:
    """How many orders each transaction has, where the database leads."""
    return Counter(inside(leader(lab), f"{PSQL} '{ORDERS}' directus").split())


def ledger(lab: Contract) -> list[dict[str, Any]]:
    assert lab.outside
    place = f"{lab.outside.host.address}:{SIMULATOR_PORT}"
    with probe.Site(lab.outside.paypal_name, place, probe.internal_trust(lab)) as paypal:
        return list(paypal.ask("GET", "/_simulator/ledger").json()["captures"])


def reconciled(lab: Contract, load: Load) -> None:
    """Every acknowledged payment is one order and one capture, and no PayPal order was captured twice."""
    stored, captures = orders(lab), ledger(lab)
    charged, by_order = Counter(one["id"] for one in captures), Counter(one["order_id"] for one in captures)
    assert {
        one: (stored[one], charged[one]) for one in load.acknowledged if (stored[one], charged[one]) != (1, 1)
    } == {}
    assert [order for order, count in by_order.items() if count > 1] == []

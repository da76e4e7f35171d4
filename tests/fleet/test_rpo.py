"""What is lost when hosts are destroyed under a load of payments: counted by the buyers' own log, not by settings."""

from __future__ import annotations

import json
import time

import pytest

from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import PSQL, until, well_again
from tests.fleet.faults import destroyed
from tests.fleet.load import Load

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.timeout(1800)]
LOAD_S, PAID_AT_LEAST = 40, 15
LOST_WITHIN_S = 10
ORDERS = "SELECT payment_intent_id FROM orders"
# The newest that the repository alone can give: fetched beside, recovered, asked, removed.
FROM_REPOSITORY = f"""
import json, sys, time
sys.path.insert(0, "/opt/till-host/current")
from pathlib import Path
from till_host.backups import plan
from till_host.backups.pgbackrest import info, settings
from till_host.backups.scratch import Scratch
stanza, began = settings()["stanza"], time.time()
scratch = Scratch(Path("/var/lib/postgresql/rpo"), "/usr/lib/postgresql/15/bin", 5497)
try:
    scratch.prepare()
    scratch.fetch(stanza, plan.set_for(info(stanza), None), ["--archive-mode=off", "--type=default"], 2, 300)
    scratch.start("off")
    scratch.until_recovered(300)
    found = scratch.ask("{ORDERS}", "directus").split()
    print(json.dumps({{"orders": found, "restore_s": round(time.time() - began, 1)}}))
finally:
    scratch.remove()
"""


def orders_on(host: str) -> set[str]:
    return set(inside(host, f"{PSQL} '{ORDERS}' directus").split())


def test_both_database_sites_destroyed_lose_seconds_at_most(lab: Contract) -> None:
    with Load(lab) as load:
        time.sleep(LOAD_S)
        until("too few were paid", lambda: len(load.acknowledged) > PAID_AT_LEAST, 60)
        with destroyed("alpha", "bravo"):
            load.stop()
            third_copy = orders_on("ops")
            # What was on its way when the hosts died gets its few seconds.
            time.sleep(5)
            told = json.loads(inside("ops", f"python3 -c '{FROM_REPOSITORY}'").splitlines()[-1])
    well_again(lab)
    # The newest payment is the last that hosts lived to acknowledge.
    newest = max(load.acknowledged.values())
    ages = {one: newest - at for one, at in load.acknowledged.items()}
    lost = {name: max((ages[one] for one in ages if one not in kept), default=0.0) for name, kept in
            (("third copy", third_copy), ("repository", set(told["orders"])))}  # fmt: skip
    print(f"{len(ages)} payments acknowledged; lost: {lost}; the repository gave its newest in {told['restore_s']} s")
    assert max(ages.values()) > 2 * LOST_WITHIN_S
    assert lost["third copy"] <= LOST_WITHIN_S
    assert lost["repository"] <= LOST_WITHIN_S
    until("there are faults", lambda: till("backup", "list", STACK)[1].get("faults") == [], 240)

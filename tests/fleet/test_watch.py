"""The first hour of a release is watched by the fleet itself: what breaks after the deploy goes back by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.contract import Contract, Role
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import until
from tests.fleet.faults import fault
from tests.fleet.load import Load
from tests.fleet.places import address, edges
from tests.fleet.told import Told
from tests.fleet.variants import BUILT, variant
from till.observe import probe
from till.policy import thresholds
from till.records import deploy_record, post_mortem

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("unwatched"), pytest.mark.timeout(1800)]
POLICY = thresholds()["watch"]
# Names that just moved excuse, and for a while after; then about twelve failed purchases (tests/roles has this load),
# the lag of evidence, a switch on two edges and a proof on a busy machine.
BACK_WITHIN_S = POLICY["settle_s"] + 2 * POLICY["excused_s"] + POLICY["lag_s"] + 60
UNIT, PAYPAL = "till-release-watch.service", "till-paypal-simulator.service"
# Asked for this path, a release fails PayPal's orders from then on; its health goes on saying that PayPal is there.
BREAK = "/break-now"
BREAKS = f'if (path === "{BREAK}") {{ kept.push(1); return fail(404); }}'
BROKEN = """const real = globalThis.fetch;
globalThis.fetch = (where, how) =>
  kept.length && String((where && where.url) || where).includes("/v2/checkout/orders")
    ? Promise.reject(new TypeError("broken on purpose"))
    : real(where, how);
"""
SLOTS = "/opt/till-host/current/bin/slots show"


@pytest.fixture(scope="module")
def twin(lab: Contract, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release that is as good as the one that serves."""
    return variant(tmp_path_factory.mktemp("twin"), "")


@pytest.fixture(autouse=True)
def served(lab: Contract) -> Iterator[None]:
    """The built release serves before each test, and again after it; then nobody watches."""
    deployed_built(lab)
    yield
    deployed_built(lab)
    till("watch", STACK, "--end")


def deployed_built(lab: Contract) -> None:
    if not serves(lab, BUILT):
        assert till("deploy", STACK, BUILT, "--bake-s", "0")[0] == 0


def serves(lab: Contract, version: str) -> bool:
    return set(probe.served_versions(lab, probe.public_trust(lab)).values()) == {version}


def deployed(version: str) -> None:
    code, told, messages = till("deploy", STACK, version, "--bake-s", "0")
    assert code == 0, (told, messages[-3000:])


def watched() -> dict[str, Any]:
    code, told, messages = till("watch", STACK, "--json")
    assert code == 0, (told, messages[-2000:])
    return told


def watcher(lab: Contract) -> str:
    return next(one.name for one in lab.hosts if Role.MONITORING in one.roles)


def broken(lab: Contract) -> None:
    """Break the release on every edge, from now on."""
    trust = probe.public_trust(lab)
    for edge in edges(lab):
        with probe.Site(lab.names.shop, address(lab, edge), trust) as site:
            assert site.ask("GET", BREAK).status_code == 404


def test_payments_that_fail_after_the_deploy_take_it_back_without_any_till(lab: Contract, tmp_path: Path) -> None:
    bad = variant(tmp_path, BREAKS, BROKEN)
    deployed(bad)
    found = watched()
    assert (found["watch"]["version"], found["watch"]["old_version"], found["watch"]["ended"]) == (bad, BUILT, None)
    # The process that watches may die, too: systemd begins it anew, and it goes on.
    inside(watcher(lab), f"systemctl kill --signal=KILL {UNIT}")
    told = Told()
    with Load(lab, limit_s=BACK_WITHIN_S + 60) as load:
        until("nothing is bought", lambda: load.acknowledged, 30)
        until("nobody looks", lambda: (watched()["look"] or {}).get("at", 0) > time.time() - 10, 60)
        began = time.monotonic()
        broken(lab)
        # No till runs now: what follows is the fleet's own doing.
        until(f"{bad} serves on", lambda: serves(lab, BUILT), BACK_WITHIN_S)
        took_s = time.monotonic() - began
        until("nothing is bought again", lambda: max(list(load.acknowledged.values())) > time.time() - 2)
    print(f"taken back {took_s:.0f} s after it broke, {load.failed} purchases failed")
    told.wait("release", 60, f"{bad} is taken back")
    told.wait("release", 60, f"{BUILT} serves again")
    found = watched()
    assert f"{bad} was taken back, {BUILT} serves" in found["watch"]["ended"]["why"]
    change = [one for one in changes() if one["by"].startswith("till-release-watch@")][-1]
    assert (change["verb"], change["version"], change["verdict"]) == ("rollback", BUILT, "ok")
    record = deploy_record.every(STACK)[-1]
    assert (record.kind, record.old_version, record.new_version, record.verdict) == ("rollback", bad, BUILT, "pass")
    papers = {one["id"]: Path(one["document"]) for one in post_mortem.written(STACK)}
    assert bad in papers[record.name].read_text()
    # Nobody can be led back to it without a word.
    code, refused, _ = till("rollback", STACK)
    assert code == 2 and "was itself taken back" in refused["error"]


def changes() -> list[dict[str, Any]]:
    code, told, _ = till("history", STACK, "--json")
    assert code == 0, told
    return list(told["changes"])


@pytest.mark.matrix
def test_the_old_slot_stays_hot_and_a_later_change_ends_the_watch(lab: Contract, twin: str) -> None:
    deployed(twin)
    assert watched()["watch"]["version"] == twin
    for edge in edges(lab):
        state = json.loads(inside(edge, SLOTS))
        old = "blue" if state["active"] == "green" else "green"
        assert state[old] == BUILT
        assert inside(edge, f"systemctl is-active app@{old}").strip() == "active"
    code, told, _ = till("rollback", STACK)
    assert code == 0, told
    found = watched()["watch"]
    assert found["ended"]["why"] == f"rollback {BUILT}"
    until("it goes on", lambda: inside(watcher(lab), f"systemctl is-active {UNIT} || true").strip() == "inactive", 30)


@pytest.mark.matrix
def test_a_fault_of_both_releases_moves_nothing(lab: Contract, twin: str) -> None:
    """PayPal is away: the old release could not sell either."""
    deployed(twin)
    told = Told()
    with Load(lab, limit_s=180) as load, fault("outside", f"systemctl stop {PAYPAL}", f"systemctl start {PAYPAL}"):
        until("nothing fails", lambda: load.failed > 10, 60)
        until("it is not seen", lambda: paypal() == "held", 60)
        time.sleep(max(POLICY["health_hold_s"].values()) + 10)
        # One look at which the other release's health came late says "consider", and moves nothing.
        until("it is not held", lambda: paypal() == "held", 30)
        assert serves(lab, twin)
    # What failed meanwhile may be told late.
    time.sleep(POLICY["excused_s"] / 2)
    assert serves(lab, twin) and told.all("release") == []
    assert watched()["watch"]["ended"] is None


def paypal() -> str:
    return str((watched()["look"] or {"measures": {}})["measures"].get("paypal", {}).get("verdict", ""))


def test_the_road_to_an_edge_leads_to_slots_and_nowhere_else(lab: Contract) -> None:
    ask = f"ssh -F /etc/till/release-watch.ssh {edges(lab)[0]}"
    assert "active" in json.loads(inside(watcher(lab), f"{ask} slots show"))
    for refused in ("id", "slots end", "slots switch none --drop --fence 1", "slots switch blue"):
        answer = inside(watcher(lab), f"{ask} '{refused}' 2>&1; echo exit code $?")
        assert "nothing else" in answer and "exit code 126" in answer


def test_it_can_be_ended_by_hand(lab: Contract, twin: str) -> None:
    deployed(twin)
    until("nobody looks", lambda: watched()["look"], 60)
    # Its process is as young as the watch, and began by the deploy.
    assert watched()["look"]["measures"]["restarts"]["verdict"] in ("pass", "insufficient")
    code, told, _ = till("watch", STACK, "--end")
    assert code == 0 and told["was_ended"] is True
    assert changes()[-1]["verb"] == "watch end"
    assert serves(lab, twin)

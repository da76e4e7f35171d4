"""Releases that get traffic step by step, under load: who is served what, and how a bad one goes."""

from __future__ import annotations

import http.client
import time
import uuid
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from benchmarks.visits import Visits
from benchmarks.visits_apart import VisitsApart
from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import until
from tests.fleet.deploys import PER_S, POLICY, begun, deployed, holds, led_alone, serves, shown, tried
from tests.fleet.places import first
from tests.fleet.variants import BUILT, variant
from till.observe import probe
from till.public_dns import lookup
from till.records import deploy_record

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("unwatched", "served"), pytest.mark.timeout(1200)]
# They end with their block; a deploy of a busy machine is within it.
VISITS_LIMIT_S = 500


def checkout_begun(lab: Contract) -> str:
    """The cookie of a customer who has begun to pay on the release that serves."""
    order = {
        "items": [{"sku": "dates-1kg", "quantity": 1}],
        "customer": {"name": "Layla", "email": "layla@shop.example"},
        "locale": "en",
    }
    with shop(lab) as site:
        created = site.ask(
            "POST", "/api/payments/paypal/create-order", json=order,
            headers={"Cookie": "till_session=stays", "Idempotency-Key": str(uuid.uuid4())},
        )  # fmt: skip
    assert created.status_code == http.client.CREATED
    kept = str(created.headers["set-cookie"].split(";")[0])
    assert kept.startswith("till_release=")
    return kept


def shop(lab: Contract) -> probe.Site:
    return probe.Site(lab.names.shop, lookup.resolve(lab, lab.names.shop)[0], probe.public_trust(lab))


def test_blue_green_under_load_fails_no_request_and_a_checkout_stays_with_its_release(lab: Contract, twin: str) -> None:
    kept = checkout_begun(lab)
    with Visits(lab, PER_S, limit_s=VISITS_LIMIT_S) as visits:
        time.sleep(3)
        code, told = deployed(twin, "--bake-s", "5")
        time.sleep(3)
    assert (code, told["verdict"], told["strategy"]) == (0, "pass", "blue-green")
    assert visits.failed == [] and told["failed_requests"] == 0
    assert len(visits.of(BUILT)) > PER_S and len(visits.of(twin)) > PER_S
    # Once the new one has all of the traffic the old one has none.
    assert max(one.at for one in visits.of(BUILT)) < min(one.at for one in visits.of(twin)) + 5
    record = deploy_record.load(STACK, told["record"])
    assert record.old_version == BUILT and [one.percent for one in record.steps] == [100]
    assert {one.gate for one in record.gates} >= {"errors", "slow", "usage", "smoke"}
    preview = {one.gate: one.verdict for one in record.gates if one.phase == "preview"}
    # How fast a release answers on a busy machine may prove nothing; that it is no slower than the other one is asked.
    assert preview.pop("slow") in ("pass", "insufficient") and set(preview.values()) == {"pass"}, preview
    assert [one.verdict for one in record.gates if one.gate == "ledger"] == ["pass", "pass"]
    assert sum(one.requests for one in record.traffic if one.version == twin) > PER_S
    # Who has begun to pay on the old release ends there; a new visitor meets the new one.
    with shop(lab) as site:
        assert site.ask("GET", "/api/version", headers={"Cookie": kept}).json()["version"] == BUILT
        assert site.ask("GET", "/api/version").json()["version"] == twin


def test_rolling_gives_a_quarter_a_half_and_the_rest(lab: Contract, twin: str) -> None:
    with Visits(lab, PER_S, limit_s=VISITS_LIMIT_S) as visits:
        code, told = deployed(twin, "--strategy", "rolling", "--bake-s", "3")
    assert code == 0 and visits.failed == []
    record = deploy_record.load(STACK, told["record"])
    assert [one.percent for one in record.steps] == [25, 50, 75, 100]
    began = [record.at + one.at_s for one in record.steps]
    for percent, since, until_at in zip((25, 50, 75), began, began[1:], strict=False):
        during = [one for one in visits.all if since + 1 < one.at < until_at - 1]
        share = sum(one.version == twin for one in during) / len(during)
        assert abs(share - percent / 100) < 0.12, (percent, share)
        # Nobody gets a share at once: a release on trial would meet many customers before anybody has judged it.
        in_a_row = max(len(list(group)) for version, group in groupby(one.version for one in during) if version == twin)
        assert in_a_row <= 10, (percent, in_a_row)


@pytest.mark.matrix
def test_a_canary_without_traffic_proves_nothing_and_goes(lab: Contract, twin: str, monkeypatch: Any) -> None:
    asked = begun(twin, "--strategy", "canary")
    try:
        until("no canary", lambda: tried(lab, 5), 180)
        until("the weights are others", lambda: weights(first(lab)) == [5, 95])
        # What a restart and a reload of HAProxy read is what runs.
        for verb in ("reload", "restart"):
            # Whoever renews the try just then would find no HAProxy, and end it.
            renewed = shown(first(lab))["canary"]["until"]
            until("the try is not renewed", lambda seen=renewed: shown(first(lab))["canary"]["until"] > seen, 30)
            inside(first(lab), f"systemctl {verb} haproxy")
            until("it does not run", lambda: serves(lab, BUILT) or True, 20)
            told = inside(first(lab), "echo 'show servers state app' | socat - /run/haproxy/admin.sock || true")
            assert shown(first(lab))["canary"]["percent"] == 5, told
    finally:
        asked.kill()
        asked.wait()
    # Nobody renews the lease of the one that was killed.
    until("the canary stays", lambda: led_alone(lab), POLICY["lease_s"] + 15)
    assert serves(lab, BUILT)


def weights(host: str) -> list[int]:
    """Of the slots, as HAProxy would read them."""
    return sorted(map(int, inside(host, "grep -o 'weight [0-9]*' /etc/haproxy/slots.cfg").split()[1::2]))


def test_a_canary_that_fails_is_out_before_it_is_met_often(lab: Contract, tmp_path: Path) -> None:
    """The preview asks paths that are well; customers' own fail."""
    per_s, path = 100, "/icon.svg"
    bad = variant(tmp_path, f'if (path === "{path}") return fail(500);')
    with Visits(lab, per_s, path=path, limit_s=VISITS_LIMIT_S) as visits:
        time.sleep(2)
        code, told = deployed(bad, "--strategy", "canary")
        time.sleep(2)
    assert (code, told["verdict"]) == (3, "fail"), told
    assert told["reason"] and bad in told["error"]
    met = [one for one in visits.all if one.status == 500]
    share = len(met) / (per_s * 60)
    print(f"{len(met)} of {len(visits.all)} visits met it, {share:.3%} of one minute's")
    # The bar is 0.1 %; a busy machine reads its metrics later.
    assert 0 < share <= 0.01
    assert serves(lab, BUILT)


def with_file(folder: Path, name: str) -> tuple[str, str]:
    """A release that alone has a file, as each build has files of its own; its version, and the file's path."""
    path = f"/_next/static/{name}-{time.time_ns()}.js"
    answers = f'if (path === "{path}") {{ response.end("{name}"); return true; }}'
    return variant(folder, answers, descriptor="assets_path: /_next/static/\n"), path


def test_pages_from_before_a_switch_find_their_files_and_so_do_those_from_before_a_rollback(
    lab: Contract, tmp_path: Path
) -> None:
    (old, old_file), (new, new_file) = with_file(tmp_path, "old"), with_file(tmp_path, "new")
    assert deployed(old, "--bake-s", "0")[0] == 0
    with Visits(lab, PER_S, path=old_file, limit_s=VISITS_LIMIT_S) as visits:
        assert deployed(new, "--bake-s", "0")[0] == 0
        found = {path: asked(lab, path) for path in (old_file, new_file, "/_next/static/nobodys.js")}
        assert till("rollback", STACK)[0] == 0 and serves(lab, old)
        later = asked(lab, new_file)
    assert list(found.values()) == [200, 200, 404]
    assert later == 200
    assert visits.failed == [] and len(visits.all) > PER_S


def asked(lab: Contract, path: str) -> int:
    """The status of a path of the shop."""
    with shop(lab) as site:
        return int(site.ask("GET", path).status_code)


def test_a_rollback_by_hand_under_load_fails_no_request_and_what_it_left_is_returned_to_by_name_only(
    lab: Contract, twin: str
) -> None:
    assert deployed(twin, "--bake-s", "0")[0] == 0
    with Visits(lab, PER_S, limit_s=VISITS_LIMIT_S) as visits:
        time.sleep(3)
        code, told, messages = till("rollback", STACK)
        time.sleep(3)
    assert code == 0, (told, messages[-2000:])
    print(f"rollback: {told['rollback_s']} s")
    assert (told["old_version"], told["new_version"], told["verdict"]) == (twin, BUILT, "pass")
    assert visits.failed == []
    assert len(visits.of(twin)) > PER_S and len(visits.of(BUILT)) > PER_S
    # Nobody stays with the release that is left.
    assert max(one.at for one in visits.of(twin)) < min(one.at for one in visits.of(BUILT)) + 5
    assert serves(lab, BUILT)
    before = holds(lab)
    code, told, _ = till("rollback", STACK)
    assert code == 2 and f"{twin} was itself taken back" in told["error"], told
    assert holds(lab) == before
    assert till("rollback", STACK, twin)[0] == 0 and serves(lab, twin)


@pytest.mark.matrix
def test_an_upgrade_of_haproxys_package_under_load_fails_no_request(lab: Contract) -> None:
    host = first(lab)
    master = "$(systemctl show --property=MainPID --value haproxy)"
    # The worker that is left ends when its clients' connections do.
    running = f"echo {master} $(pgrep --newest -P {master}); readlink /proc/{master}/exe"
    install = "apt-get install -qq -o DPkg::Lock::Timeout=120 --reinstall haproxy"
    # Whoever else updates the lists holds their lock meanwhile.
    inside(host, f"timeout 120 sh -c 'until apt-get update -qq; do sleep 2; done'; {install} --download-only")
    before = inside(host, running)
    with VisitsApart(lab, 2 * PER_S) as visits:
        time.sleep(2)
        inside(host, f"DEBIAN_FRONTEND=noninteractive {install}")
        time.sleep(3)
    after = inside(host, running)
    assert visits.failed == [] and len(visits.all) > 2 * PER_S
    # The master is the same process with the new program in it; its worker is another one.
    assert after.split()[0] == before.split()[0] and after.split()[1] != before.split()[1]
    assert after.splitlines()[1] == "/usr/sbin/haproxy"
    assert serves(lab, BUILT)

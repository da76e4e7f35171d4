"""Releases that get traffic step by step, under load: who is served what, and how a bad one goes."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.visits import Visits
from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import until
from tests.fleet.places import edges, first
from tests.fleet.variants import BUILT, variant
from till import deploy_record, probe
from till.paths import CHECKOUT, VENV_BIN, release_dir
from till.thresholds import thresholds

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("unwatched"), pytest.mark.timeout(600)]
POLICY = thresholds()["rollout"]
PER_S = 20
SLOTS = "/usr/local/lib/till/slots"


@pytest.fixture(scope="module")
def twin(lab: Contract, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release that is as good as the one that serves."""
    return variant(tmp_path_factory.mktemp("twin"), "")


@pytest.fixture(autouse=True)
def served(lab: Contract) -> Iterator[None]:
    """The built release serves before each test, and again after it."""
    if not serves(lab, BUILT):
        assert till("deploy", STACK, BUILT, "--bake-s", "0")[0] == 0
    yield
    if not serves(lab, BUILT):
        assert till("deploy", STACK, BUILT, "--bake-s", "0")[0] == 0


def serves(lab: Contract, version: str) -> bool:
    return set(probe.served_versions(lab, probe.public_trust(lab)).values()) == {version}


def shown(host: str) -> dict[str, Any]:
    return dict(json.loads(inside(host, f"{SLOTS} show")))


def deployed(version: str, *options: str) -> tuple[int, dict[str, Any]]:
    code, told, messages = till("deploy", STACK, version, *options)
    shorter = {
        key: told.get(key) for key in ("verdict", "reason", "switch_s", "rollback_s", "failed_requests", "phases")
    }
    print(f"{version} {' '.join(options)}: exit code {code}, {shorter}")
    if code not in (0, 3):
        print(messages[-3000:])
    return code, told


def begun(version: str, *options: str) -> subprocess.Popen[str]:
    """A deploy by a till of its own."""
    return subprocess.Popen(
        [str(VENV_BIN / "till"), "deploy", STACK, version, *options, "--json"],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def tried(lab: Contract, percent: int) -> bool:
    return all((shown(host)["canary"] or {}).get("percent") == percent for host in edges(lab))


def test_blue_green_under_load_fails_no_request(lab: Contract, twin: str) -> None:
    with Visits(lab, PER_S) as visits:
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
    assert {one.verdict for one in record.gates if one.phase == "preview"} == {"pass"}
    assert sum(one.requests for one in record.traffic if one.version == twin) > PER_S


def test_rolling_gives_a_quarter_a_half_and_the_rest(lab: Contract, twin: str) -> None:
    with Visits(lab, PER_S, limit_s=120) as visits:
        code, told = deployed(twin, "--strategy", "rolling", "--bake-s", "3")
    assert code == 0 and visits.failed == []
    record = deploy_record.load(STACK, told["record"])
    assert [one.percent for one in record.steps] == [25, 50, 75, 100]
    began = [record.at + one.at_s for one in record.steps]
    for percent, since, until_at in zip((25, 50, 75), began, began[1:], strict=False):
        during = [one for one in visits.all if since + 1 < one.at < until_at - 1]
        share = sum(one.version == twin for one in during) / len(during)
        assert abs(share - percent / 100) < 0.12, (percent, share)


def test_a_canary_without_traffic_proves_nothing_and_goes(lab: Contract, twin: str, monkeypatch: Any) -> None:
    asked = begun(twin, "--strategy", "canary")
    try:
        until("no canary", lambda: tried(lab, 5), 180)
        weights = inside(first(lab), "grep -o 'weight [0-9]*' /etc/haproxy/slots.cfg").split()[1::2]
        assert sorted(map(int, weights)) == [5, 95]
        # What a restart and a reload of HAProxy read is what runs.
        for verb in ("reload", "restart"):
            inside(first(lab), f"systemctl {verb} haproxy")
            until("it does not run", lambda: serves(lab, BUILT) or True, 20)
            told = inside(first(lab), "echo 'show servers state storefront' | socat - /run/haproxy/admin.sock || true")
            assert shown(first(lab))["canary"]["percent"] == 5, told
    finally:
        asked.kill()
        asked.wait()
    # Nobody renews the lease of the one that was killed.
    until("the canary stays", lambda: all(shown(host)["canary"] is None for host in edges(lab)), POLICY["lease_s"] + 15)
    assert serves(lab, BUILT)
    assert deployed(twin, "--bake-s", "0")[0] == 0


def test_a_canary_that_fails_is_out_before_it_is_met_often(lab: Contract, tmp_path: Path) -> None:
    """The preview asks paths that are well; customers' own fail."""
    per_s, path = 100, "/icon.svg"
    bad = variant(tmp_path, f'if (path === "{path}") return fail(500);')
    with Visits(lab, per_s, path=path) as visits:
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


FAULTS = {
    "payments fail though health is well": 'if (path.endsWith("/create-order")) return fail(500);',
    "p95 is slow": 'if (!path.startsWith("/api/metrics")) { setTimeout(pass, 900); return true; }',
    "memory leaks": "kept.push(Buffer.alloc(3e6, 1));",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_release_is_found_before_anybody_meets_it(lab: Contract, tmp_path: Path, fault: str) -> None:
    bad = variant(tmp_path, FAULTS[fault])
    with Visits(lab, PER_S) as visits:
        code, told = deployed(bad)
    assert code == 3 and told["verdict"] == "fail" and told["reason"], told
    assert visits.failed == [] and visits.of(bad) == []
    assert serves(lab, BUILT)


def test_a_release_that_dies_after_20_s_is_taken_back(lab: Contract, tmp_path: Path) -> None:
    bad = variant(tmp_path, "", "setTimeout(() => process.exit(1), 20000);")
    code, told = deployed(bad)
    assert code == 3 and told["verdict"] == "fail", told
    assert told["rollback_s"] is not None
    assert serves(lab, BUILT)


def test_a_checkout_stays_with_its_release(lab: Contract, twin: str) -> None:
    """Who has begun to pay on the old release ends there; a new visitor meets the new one."""
    trust, address = probe.public_trust(lab), probe.resolve(lab, lab.names.shop)[0]
    order = {
        "items": [{"sku": "dates-1kg", "quantity": 1}],
        "customer": {"name": "Layla", "email": "layla@shop.example"},
        "locale": "en",
    }
    with probe.Site(lab.names.shop, address, trust) as shop:
        created = shop.ask(
            "POST", "/api/payments/paypal/create-order", json=order,
            headers={"Cookie": "till_session=stays", "Idempotency-Key": str(uuid.uuid4())},
        )  # fmt: skip
    assert created.status_code == http.client.CREATED
    kept = created.headers["set-cookie"].split(";")[0]
    assert kept.startswith("till_release=")
    assert deployed(twin, "--bake-s", "0")[0] == 0
    with probe.Site(lab.names.shop, address, trust) as shop:
        assert shop.ask("GET", "/api/version", headers={"Cookie": kept}).json()["version"] == BUILT
        assert shop.ask("GET", "/api/version").json()["version"] == twin


def holds(lab: Contract) -> dict[str, tuple[Any, ...]]:
    """By host which slot serves and what is in each."""
    return {host: tuple(shown(host)[key] for key in ("active", "blue", "green", "canary")) for host in edges(lab)}


def test_an_artefact_that_is_not_what_was_signed_is_not_shipped(lab: Contract, tmp_path: Path) -> None:
    bad, before = variant(tmp_path, ""), holds(lab)
    with (release_dir(STACK, bad) / "artefact.tar.gz").open("ab") as artefact:
        artefact.write(b"x")
    code, told = deployed(bad)
    assert code == 3 and "artefact.tar.gz is not what was built" in told["error"] and told["next"], told
    assert holds(lab) == before and serves(lab, BUILT)


def test_a_migration_that_the_serving_release_would_not_survive_is_not_shipped(lab: Contract, tmp_path: Path) -> None:
    bad, before = variant(tmp_path, "", descriptor="migrations: contract\n"), holds(lab)
    code, told = deployed(bad)
    assert (code, told["verdict"]) == (3, "fail"), told
    assert "contracts the database" in told["error"] and BUILT in told["error"] and told["next"]
    assert holds(lab) == before and serves(lab, BUILT)


def test_a_migration_that_the_serving_release_survives_comes_and_can_be_left(lab: Contract, tmp_path: Path) -> None:
    good = variant(tmp_path, "", descriptor=f"migrations: contract\nruns_beside: [{BUILT}]\n")
    assert deployed(good, "--bake-s", "0")[0] == 0 and serves(lab, good)
    code, told, messages = till("rollback", STACK)
    assert (code, told["new_version"]) == (0, BUILT), messages[-2000:]


def test_a_secret_that_is_missing_is_named_and_no_value_is(lab: Contract, tmp_path: Path) -> None:
    needs = "requires_env: [PAYPAL_CLIENT_SECRET, NO_SUCH_KEY]\n"
    bad, before = variant(tmp_path, "", descriptor=needs), holds(lab)
    code, told, messages = till("deploy", STACK, bad)
    assert (code, told["verdict"]) == (3, "fail"), told
    assert "NO_SUCH_KEY of requires_env" in told["error"] and "PAYPAL_CLIENT_SECRET" not in told["error"]
    secret = lab.secrets["paypal_client_secret"].get_secret_value()
    assert secret not in messages and secret not in json.dumps(told)
    assert holds(lab) == before and serves(lab, BUILT)


def test_a_rollback_by_hand_under_load_fails_no_request(lab: Contract, twin: str) -> None:
    assert deployed(twin, "--bake-s", "0")[0] == 0
    with Visits(lab, PER_S) as visits:
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


def test_a_release_that_was_taken_back_is_returned_to_by_name_only(lab: Contract, twin: str) -> None:
    assert deployed(twin, "--bake-s", "0")[0] == 0
    assert till("rollback", STACK)[0] == 0
    before = holds(lab)
    code, told, _ = till("rollback", STACK)
    assert code == 2 and f"{twin} was itself taken back" in told["error"], told
    assert holds(lab) == before
    assert till("rollback", STACK, twin)[0] == 0 and serves(lab, twin)


def killed_in(phase: str, version: str, after_s: float) -> None:
    """A till that is gone without a word, so long after it said that a phase begins."""
    plan = ("rolling", "10") if phase == "steps" else ("blue-green", "2")
    asked = begun(version, "--strategy", plan[0], "--bake-s", plan[1])
    assert asked.stderr is not None
    said = list[str]()
    try:
        while not (said and said[-1].split(maxsplit=1)[1:] == [phase]):
            line = asked.stderr.readline()
            assert line, (phase, said[-20:])
            said.append(line.strip())
        time.sleep(after_s)
        assert asked.poll() is None, (phase, said[-20:])
    finally:
        # What it started may have its pipes still: nobody waits for their end.
        asked.kill()
        asked.wait()


@pytest.mark.parametrize(("phase", "after_s"), [("ship", 0.5), ("preview", 0.5), ("steps", 3), ("promote", 0)])
def test_a_till_that_is_killed_leaves_a_release_serving(
    lab: Contract, twin: str, tmp_path: Path, phase: str, after_s: float
) -> None:
    # One that hosts have already is shipped in no time.
    new = variant(tmp_path, "") if phase == "ship" else twin
    with Visits(lab, PER_S, limit_s=400) as visits:
        killed_in(phase, new, after_s)
        # A try that nobody goes on with ends by itself.
        until(
            "the try stays", lambda: all(shown(host)["canary"] is None for host in edges(lab)), POLICY["lease_s"] + 15
        )
        left = set(probe.served_versions(lab, probe.public_trust(lab)).values())
        assert left <= {BUILT, new} and (phase == "promote" or left == {BUILT})
        unfinished = deploy_record.load(STACK, deploy_record.names(STACK)[-1])
        assert (unfinished.new_version, unfinished.verdict) == (new, "unfinished")
        assert deployed(new, "--bake-s", "0")[0] == 0
    assert visits.failed == []
    assert {one.version for one in visits.all} <= {BUILT, new}
    assert serves(lab, new)

"""Releases that must not come through: each is found by its gate, is told why, and leaves the old one serving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.visits import Visits
from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import PSQL, leader
from tests.fleet.deploys import PER_S, begun, deployed, holds, serves, until_phase
from tests.fleet.faults import fault
from tests.fleet.places import edges
from tests.fleet.variants import BUILT, variant
from till.paths import release_dir
from till.records import deploy_record

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("unwatched", "served"), pytest.mark.timeout(1200)]


FAULTS = {
    "payments fail though health is well": 'if (path.endsWith("/create-order")) return fail(500);',
    "p95 is slow": 'if (!path.startsWith("/api/metrics")) { setTimeout(pass, 900); return true; }',
    "memory leaks": "kept.push(Buffer.alloc(3e6, 1));",
}
FIRST_FAULT = next(iter(FAULTS))


@pytest.mark.parametrize(
    "fault", [next(iter(FAULTS)), *(pytest.param(one, marks=pytest.mark.matrix) for one in list(FAULTS)[1:])]
)
def test_a_broken_release_is_found_before_anybody_meets_it(lab: Contract, tmp_path: Path, fault: str) -> None:
    bad = variant(tmp_path, FAULTS[fault])
    with Visits(lab, PER_S) as visits:
        code, told = deployed(bad)
    assert code == 3 and told["verdict"] == "fail" and told["reason"], told
    assert visits.failed == [] and visits.of(bad) == []
    assert serves(lab, BUILT)


@pytest.mark.matrix
def test_a_release_that_dies_after_20_s_is_taken_back(lab: Contract, tmp_path: Path) -> None:
    # From the first page on that is asked for: how long a busy host takes to start it is not counted.
    dies = "setTimeout(() => process.exit(1), 20000)"
    bad = variant(tmp_path, f"if (!checks.has(path) && !kept.length) kept.push({dies});")
    code, told = deployed(bad)
    assert code == 3 and told["verdict"] == "fail", told
    assert told["rollback_s"] is not None
    assert serves(lab, BUILT)


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


@pytest.mark.matrix
def test_a_migration_that_the_serving_release_survives_comes_and_can_be_left(lab: Contract, tmp_path: Path) -> None:
    good = variant(tmp_path, "", descriptor=f"migrations: contract\nruns_beside: [{BUILT}]\n")
    assert deployed(good, "--bake-s", "0")[0] == 0 and serves(lab, good)
    code, told, messages = till("rollback", STACK)
    assert (code, told["new_version"]) == (0, BUILT), messages[-2000:]


def migrations_ran(lab: Contract, version: str) -> list[str]:
    """Hosts on which a release's migration said its word."""
    said = "journalctl -u till-migrate -o cat --no-pager"
    return [host for host in edges(lab) if f"migrated {version} true" in inside(host, said)]


def test_a_migration_runs_once_before_anything_starts_and_with_the_releases_own_secrets(
    lab: Contract, tmp_path: Path
) -> None:
    told = "console.log('migrated', process.env.APP_VERSION, process.env.PAYPAL_CLIENT_SECRET.length > 0)"
    good = variant(tmp_path, "", descriptor=f'migrations: expand\nmigrate: node -e "{told}"\n')
    assert deployed(good, "--bake-s", "0")[0] == 0 and serves(lab, good)
    assert len(migrations_ran(lab, good)) == 1
    assert till("rollback", STACK)[0] == 0


@pytest.mark.matrix
def test_where_a_migration_fails_nothing_is_started_and_its_last_words_are_told(lab: Contract, tmp_path: Path) -> None:
    told = "console.log('no table', process.env.APP_VERSION); process.exit(3)"
    bad, before = variant(tmp_path, "", descriptor=f'migrations: expand\nmigrate: node -e "{told}"\n'), holds(lab)
    code, answer = deployed(bad)
    assert (code, answer["verdict"]) == (3, "fail"), answer
    assert f"the migration of {bad} on" in answer["error"] and f"no table {bad}" in answer["error"], answer
    assert holds(lab) == before and serves(lab, BUILT)


@pytest.mark.matrix
def test_payments_that_differ_from_paypals_ledger_take_a_release_back(lab: Contract, twin: str) -> None:
    """The order of the smoke purchase is spoilt where it is kept, while the release is tried."""
    asked = begun(twin, "--strategy", "rolling", "--bake-s", "10")
    until_phase(asked, "steps")
    newest = "SELECT id FROM orders ORDER BY created_at DESC LIMIT 1"
    order = inside(leader(lab), f'{PSQL} "{newest}" directus').strip()
    change = f"UPDATE orders SET charge_amount = charge_amount %s WHERE id = '{order}'"
    spoil, mend = (f'{PSQL} "{change % how}" directus' for how in ("+ 1", "- 1"))
    with fault(leader(lab), spoil, mend):
        try:
            told = json.loads(asked.communicate(timeout=240)[0])
        finally:
            asked.kill()
    assert (asked.returncode, told["verdict"]) == (3, "fail"), told
    assert "payments and PayPal's ledger differ" in told["reason"] and "PayPal charged" in told["reason"], told
    record = deploy_record.load(STACK, told["record"])
    # The first is of the preview, before the order was spoilt.
    assert [one.verdict for one in record.gates if one.gate == "ledger"] == ["pass", "fail"]
    assert serves(lab, BUILT)


def test_a_secret_that_is_missing_is_named_and_no_value_is(lab: Contract, tmp_path: Path) -> None:
    needs = "requires_env: [PAYPAL_CLIENT_SECRET, NO_SUCH_KEY]\n"
    bad, before = variant(tmp_path, "", descriptor=needs), holds(lab)
    code, told, messages = till("deploy", STACK, bad)
    assert (code, told["verdict"]) == (3, "fail"), told
    assert "NO_SUCH_KEY of requires_env" in told["error"] and "PAYPAL_CLIENT_SECRET" not in told["error"]
    secret = lab.secrets["paypal_client_secret"].get_secret_value()
    assert secret not in messages and secret not in json.dumps(told)
    assert holds(lab) == before and serves(lab, BUILT)

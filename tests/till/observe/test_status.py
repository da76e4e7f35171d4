"""What `till status` makes of the nameservers' answers and of the copies' states."""

from __future__ import annotations

from tests.till.conftest import contract_of, host
from till.observe import replication, status


def told(**servers: object) -> dict[str, object]:
    return {"name": "shop.lab.test", "agree": True, "sites": [], "nameservers": servers}


def test_silence_and_serials_out_of_step_are_faults_and_other_answers_are_none() -> None:
    alpha, bravo = {"addresses": ["192.0.2.1"], "serial": 7}, {"addresses": ["192.0.2.2"], "serial": 7}
    assert status.unheard(told(alpha=alpha, bravo=bravo)) == []
    assert status.unheard(told(alpha=alpha, bravo={"fault": "does not answer: Timeout"})) == [
        "nameserver bravo does not answer: Timeout"
    ]
    (fault,) = status.unheard(told(alpha=alpha, bravo={**bravo, "serial": 8}))
    assert "serials are out of step: {'alpha': 7, 'bravo': 8}" in fault


def test_a_copy_that_does_not_follow_or_is_missing_is_a_fault() -> None:
    contract = contract_of(*(host(name, roles=["database"]) for name in ("alpha", "bravo", "ops")))
    alpha = {"name": "alpha", "role": "Leader", "state": "running"}
    bravo = {"name": "bravo", "role": "Sync Standby", "state": "streaming"}
    ops = {"name": "ops", "role": "Replica", "state": "streaming"}
    assert replication.behind(contract, [alpha, bravo, ops]) == []
    assert replication.behind(contract, [alpha, bravo]) == ["the copy on ops is no member of the cluster"]
    assert replication.behind(contract, [alpha, bravo, {**ops, "state": "stopped"}]) == ["the copy on ops is stopped"]
    assert replication.behind(contract, [alpha, bravo, {**ops, "state": "running"}]) == [
        "the copy on ops runs, but follows nobody yet"
    ]
    assert replication.behind(contract, [alpha, {**bravo, "role": "Replica"}, ops]) == [
        "no copy is synchronous: payments wait for one"
    ]


def test_copies_are_read_from_patronis_documents() -> None:
    alpha = {"name": "alpha", "role": "leader", "state": "running"}
    bravo = {"name": "bravo", "role": "sync_standby", "state": "streaming", "lag": 0, "replay_lag": 3 * 2**20}
    ops = {"name": "ops", "role": "replica", "state": "stopped", "replay_lag": "unknown"}
    history = [[1, 7, "", "2026-11-25T01:00:00+00:00", "bravo"], [2, 9, "", "2026-11-25T02:00:00+00:00", "alpha"]]
    told = replication.read({"cluster": {"members": [alpha, bravo, ops]}, "history": history})
    assert (told["leader"], told["since"]) == ("alpha", "2026-11-25T02:00:00+00:00")
    assert [(one["role"], one["state"], one["lag_mb"]) for one in told["members"]] == [
        ("Leader", "running", None),
        ("Sync Standby", "streaming", 3.0),
        ("Replica", "stopped", "unknown"),
    ]
    assert replication.read({"cluster": {"members": [alpha]}, "history": []})["since"] is None
    assert replication.read({"cluster": {"members": [bravo]}, "history": history})["leader"] is None


def test_hosts_without_programs_or_with_other_ones_are_faults() -> None:
    assert status.outdated("lab", {"alpha": "1.0.0+ha", "bravo": status.UNKNOWN}) == []
    assert status.outdated("lab", {"alpha": "1.0.0+ha", "bravo": "1.0.0+ha"}) == []
    assert status.outdated("lab", {"alpha": "1.0.0+ha", "bravo": ""}) == [
        "host bravo has no programs of Till: till provision lab"
    ]
    assert status.outdated("lab", {"alpha": "1.0.0+ha", "bravo": "1.0.0+hb"}) == [
        "hosts run different versions of Till's programs (alpha 1.0.0+ha, bravo 1.0.0+hb): till provision lab"
    ]

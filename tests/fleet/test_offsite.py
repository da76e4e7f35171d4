"""A second repository elsewhere: filled beside the first, proven by drills, and enough to restore from alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from infra.contract import Contract
from tests.fleet import object_store
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import (
    PSQL,
    REPOSITORY,
    archived,
    faults,
    host_suite,
    leader,
    segments,
    until,
    well_told,
    write_wal,
)
from tests.fleet.faults import fault
from till.checks import purchase
from till.errors import TillError
from till.hosts import artefacts, play
from till.hosts.session import open_session
from till.observe import probe
from till.progress import Progress

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]
# A segment's own interval is 5 s, and one try at the store that is away takes as long.
WAL_WITHIN_S = 60
TAGS = "pgbackrest,postgres,backup_repository,restore,drills,monitoring"


def converge(contract: Contract) -> int:
    with open_session(contract, artefacts.variables()) as session:
        result = play.run(session, "provision.yml", Progress(), tags=TAGS)
    result.raise_for_failure(contract, "see the log")
    return sum(result.changed.values())


def watched(lab: Contract) -> str:
    """What the watch over the archive says on the leader."""
    return inside(leader(lab), "/opt/till-host/current/bin/wal-archive watch 2>&1 || true")


@pytest.fixture(scope="module")
def offsite(lab: Contract) -> Iterator[Contract]:
    """The lab with a second repository; without it again afterwards."""
    contract = object_store.with_offsite(lab)
    with object_store.running():
        try:
            converge(contract)
            yield contract
        finally:
            converge(lab)
    until("there are faults still", lambda: faults() == [], 120)
    assert "repo2" not in inside("ops", "cat /etc/pgbackrest/pgbackrest.conf")


def test_both_repositories_are_filled_and_read_through(offsite: Contract) -> None:
    code, made, messages = till("backup", "now", STACK, "--type", "incr")
    assert code == 0, messages[-2000:]
    assert made["type"] == made["offsite"]["type"] == "incr"
    code, listed, _ = till("backup", "list", STACK)
    assert code == 0 and listed["faults"] == [], listed["faults"]
    assert [one["type"] for one in listed["offsite"]["backups"]] == ["full", "incr"]
    code, read, messages = till("backup", "verify", STACK)
    assert code == 0, messages[-2000:]
    assert read["verified_backups"] == len(listed["backups"]) + len(listed["offsite"]["backups"])
    assert host_suite("backups or wal or timers").returncode == 0


def test_what_lies_elsewhere_is_encrypted(offsite: Contract) -> None:
    assert len(object_store.files()) > 1000
    look = "find {} -type f -size +0 -exec sh -c 'head -c 8 \"$1\" && echo' - {{}} ';' | sort | uniq -c"
    heads = inside(object_store.HOST, look.format(f"{object_store.FOLDER}/{object_store.BUCKET}")).split()
    assert heads[1:] == ["Salted__"]


def test_a_drill_proves_the_one_elsewhere(offsite: Contract) -> None:
    code, told, messages = till("drill", "restore", STACK, "--repository", "2")
    assert code == 0, messages[-3000:]
    assert (told["drill"], told["repository"]) == ("restore-offsite", 2)
    assert told["verified_rows"] > 0 and told["rpo_s"] <= 15 and told["rto_s"] <= 300
    metrics = inside("ops", "cat /var/lib/prometheus/node-exporter/till-drill-restore-offsite.prom")
    assert 'till_drill_last_ok{drill="restore-offsite"} 1' in metrics
    print(f"from elsewhere: RPO {told['rpo_s']} s, RTO {told['rto_s']} s")


@pytest.mark.matrix
def test_a_store_that_is_away_is_named_and_the_first_repository_goes_on(offsite: Contract, lab: Contract) -> None:
    object_store.stop()
    try:
        assert purchase.run(lab, Progress())["payment_status"] == "completed"
        # WAL goes on into the repository that is there, as fast as ever.
        write_wal(lab, 2)
        until("the archiver does not notice", lambda: "off-site: the archiver" in watched(lab))
        inside(leader(lab), f"{PSQL} \"SELECT pg_logical_emit_message(true, 'till-test', 'x')\"")
        segment = inside(leader(lab), f"{PSQL} 'SELECT pg_walfile_name(pg_switch_wal())'").strip()
        began = time.monotonic()
        until("WAL has to wait for the store", lambda: segment in "".join(segments(100)), WAL_WITHIN_S)
        print(f"with the store away a segment is in the first repository after {time.monotonic() - began:.1f} s")
        assert "the archiver fails" not in watched(lab).replace("off-site: the archiver fails", "")
        assert converge(offsite) == 0, "a store that is away keeps nobody from converging hosts"
        assert any(sentence.startswith("off-site: ") for sentence in faults()), faults()
        asked_at = time.time()
        code, told, _ = till("backup", "now", STACK)
        assert code == 1
        assert "off-site: " in told["error"]
        first = [one for one in till("backup", "list", STACK)[1]["backups"] if one["repository"] == 1]
        assert first[-1]["stop"] >= int(asked_at), "the first repository waits for the second"
        assert till("drill", "restore", STACK, "--repository", "2")[0] == 3
    finally:
        object_store.start()
    until("WAL does not reach the store", lambda: archived(lab), 180)
    code, told, messages = till("backup", "now", STACK)
    assert code == 0, messages[-2000:]
    until("there are faults still", lambda: faults() == [], 120)


@pytest.mark.matrix
def test_a_key_that_is_wrong_elsewhere_is_named(offsite: Contract) -> None:
    conf = "/etc/pgbackrest/pgbackrest.conf"
    change = f"cp -p {conf} /var/lib/till/conf && sed -i 's/^repo2-cipher-pass=.*/repo2-cipher-pass=wrong/' {conf}"
    with fault("ops", change, f"cp -p /var/lib/till/conf {conf}; rm /var/lib/till/conf"):
        assert any("off-site: " in one and "can't be read" in one for one in faults())
        assert till("drill", "restore", STACK, "--repository", "2")[0] == 3
    assert faults() == []
    code, _, messages = till("drill", "restore", STACK, "--repository", "2")
    assert code == 0, messages[-2000:]


@pytest.mark.matrix
def test_after_a_loss_of_all_copies_and_of_the_first_repository_the_second_restores_all(
    offsite: Contract, lab: Contract
) -> None:
    trust = probe.public_trust(lab)
    kept = purchase.run(lab, Progress())["transaction_id"]
    until("WAL does not reach the repositories", lambda: archived(lab), 120)
    data = "/var/lib/postgresql/15"
    for host in ("ops", "bravo", "alpha"):
        inside(host, f"systemctl stop patroni.service; rm -rf {data}/till {data}/restoring")
    inside("ops", f"rm -rf {REPOSITORY}/*")
    etcd = "ETCDCTL_API=3 etcdctl --cacert /etc/till/pki/ca.pem --cert /etc/till/pki/host.pem"
    inside("ops", f"{etcd} --key /etc/till/pki/host.key del --prefix /service/till-{STACK}/")
    # What stands now is as good as new hosts: they get an empty database, and the old one's backups are not its own.
    with pytest.raises(TillError, match=r"keeps [0-9]+ backups of another database") as refused:
        converge(offsite)
    assert "--repository 2" in refused.value.message
    code, told, messages = till(
        "restore", STACK, "--to", "latest", "--repository", "2", "--confirm", STACK, timeout_s=900
    )
    assert code == 0, (told, messages[-3000:])
    assert told["repository"] == 2 and told["verified_rows"] > 0
    assert purchase.order_row(lab, trust, kept) is not None
    print(f"restored from elsewhere alone, rto_s {told['rto_s']}")
    assert converge(offsite) == 0
    listed = till("backup", "list", STACK)[1]
    assert listed["backups"], "the first repository was not begun anew"
    until("there are faults", lambda: faults() == [], 120)
    well_told(90)

"""The fleet's database and its repository, as tests see, break and heal them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.contract import Contract
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.places import edges, first, site_of
from tests.policy import POLICY
from till.errors import TillError
from till.hosts.session import open_session
from till.observe import status
from till.paths import CHECKOUT, VENV_BIN
from till.recovery import backup, restore
from till.stacks import stack

REPOSITORY = "/var/lib/pgbackrest"
CONF = "/etc/pgbackrest/pgbackrest.conf"
ELECTED_WITHIN_S = 90
# Not Debian's wrapper in Perl, which takes five times as long to start.
PSQL = "runuser -u postgres -- /usr/lib/postgresql/15/bin/psql -XAtqc"
PATRONICTL = "/opt/patroni/bin/patronictl -c /etc/patroni/patroni.yml"
# What its list tells, for a sixth of the processor time.
CLUSTER = (
    "python3 -c 'import socket, ssl; from urllib.request import urlopen;"
    ' trust = ssl.create_default_context(cafile="/etc/till/pki/ca.pem");'
    ' print(urlopen(f"https://{socket.gethostname()}:8008/cluster", context=trust, timeout=10).read().decode())\''
)


def until(what: str | Callable[[], str], holds: Callable[[], Any], deadline_s: float = 60) -> Any:
    """Wait for it to hold; what it said then. What it asks may say something else a moment later.

    `what` is wrong where it never does; a function says so only then.
    """
    deadline = time.monotonic() + deadline_s
    while not (found := holds()):
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.5)
    return found


def faults() -> list[str]:
    """What `till backup list` finds not as policy wants it; that nobody could tell is one."""
    try:
        with open_session(stack.contract(STACK)) as session:
            return list(backup.facts(session)["faults"])
    except TillError as reason:
        return [reason.message]


def waited_for(host: str) -> str:
    """The copies that a leading host waits for at each commit."""
    return inside(host, f"{PSQL} 'SHOW synchronous_standby_names'")


def follows_closely(lead: str, copy: str) -> None:
    """Wait until a leading host waits for this copy: after its restart another one is waited for at first."""
    until(f"{copy} is not waited for by {lead}", lambda: copy in waited_for(lead))


def host_suite(*names: str) -> subprocess.CompletedProcess[str]:
    """The host suite's checks of backups, as `till verify` runs them."""
    chosen = ["tests/hosts/test_backups.py", "-k", " or ".join(names)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": f"{VENV_BIN}:/usr/bin:/bin", "HOME": str(Path.home()), "TILL_STACK": STACK},
    )  # fmt: skip


def members() -> list[dict[str, Any]]:
    """The copies as the third one's Patroni knows them: name, role, state, lag; none while it can't tell."""
    return list(json.loads(inside("ops", f"{CLUSTER} 2>/dev/null || true") or '{"members": []}')["members"])


def third_view() -> str:
    """The leader as the host without an edge knows it; "" while nobody leads."""
    return next((str(one["name"]) for one in members() if (one["role"], one["state"]) == ("leader", "running")), "")


def switch_over(old: str, new: str) -> None:
    """Have Patroni move the leader, by no verb of a person's."""
    inside("ops", f"{PATRONICTL} switchover till-{STACK} --leader {old} --candidate {new} --force")


def leads(lab: Contract) -> str:
    """The host whose database leads; "" when none does."""
    with open_session(lab) as session:
        return restore.leader(session)


def leader(lab: Contract) -> str:
    return str(until("no database leads", lambda: leads(lab), 90))


def elected(lab: Contract, *gone: str) -> str:
    """Who leads as soon as somebody does who is none of these."""

    def other() -> str:
        led = leads(lab)
        return "" if led in gone else led

    return str(until("nobody takes over", other, ELECTED_WITHIN_S))


def told_by_status() -> dict[str, Any]:
    code, told, _ = till("status", STACK)
    assert (code == 0) == told["ok"], (code, told)
    return told


def well_told(deadline_s: float = 60, look: Callable[[], dict[str, Any]] = told_by_status) -> dict[str, Any]:
    """What `till status` tells once it finds nothing wrong: an answer that comes late is a fault of that moment."""
    told: dict[str, Any] = {}

    def well() -> bool:
        nonlocal told
        told = look()
        return bool(told["ok"])

    until(lambda: f"the fleet is not well: {told.get('faults', told)}", well, deadline_s)
    return told


def well_again(lab: Contract, deadline_s: float = 240) -> None:
    """Wait until `till status` would find nothing wrong."""
    deadline = time.monotonic() + deadline_s
    with open_session(lab) as session:
        while not (told := status.of(session))["ok"]:
            assert time.monotonic() < deadline, f"the fleet is not well: {told['faults']}"
            time.sleep(2)


def home(lab: Contract) -> None:
    """Have the fleet well, led by its first site, and names lead there, whatever a hold-down had them do before."""
    if followed_site(lab) == site_of(lab, first(lab)):
        return
    well_again(lab)
    until("the first site does not lead", lambda: till("failback", STACK)[0] == 0, 240)
    until("names do not lead where the database does", lambda: names_follow(lab), POLICY["nameserver_hold_down_s"] + 90)


def followed_site(lab: Contract) -> str:
    """The leader's site where nothing is wrong and every nameserver leads to it; else ""."""
    with open_session(lab) as session:
        told = status.of(session)
    led = site_of(lab, told["database"]["leader"]) if told["database"]["leader"] else ""
    return led if told["ok"] and told["dns"]["sites"] == [led] else ""


def names_follow(lab: Contract) -> bool:
    return followed_site(lab) != ""


def well_led(lab: Contract) -> str:
    """Have the fleet well, and led from a site with an edge; returns the leading host."""
    well_again(lab)
    if leads(lab) not in edges(lab):
        home(lab)
    return leader(lab)


def store_leads_on(host: str) -> bool:
    """Whether this host's member leads the consensus store."""
    proof = "ETCDCTL_API=3 ETCDCTL_CACERT={0}/ca.pem ETCDCTL_CERT={0}/host.pem ETCDCTL_KEY={0}/host.key"
    etcdctl = f"{proof.format('/etc/till/pki')} etcdctl --endpoints https://127.0.0.1:2379"
    told = json.loads(inside(host, f"{etcdctl} endpoint status -w json"))[0]["Status"]
    return bool(told["leader"] == told["header"]["member_id"])


def segments(count: int, host: str = "ops") -> list[str]:
    """The files of the newest segments in the repository, oldest first."""
    by_time = f"find {REPOSITORY}/archive -name '*.zst' -printf '%T@ %p\\n' | sort -n"
    return inside(host, f"{by_time} | tail -{count} | cut -d' ' -f2").splitlines()


def write_wal(lab: Contract, segments: int = 1) -> None:
    """Fill and archive some segments."""
    for number in range(segments):
        inside(
            leader(lab), f"{PSQL} \"SELECT pg_logical_emit_message(true, 'till-test', '{number}'), pg_switch_wal()\""
        )


def archived(lab: Contract) -> Any:
    with open_session(lab) as session:
        told = session.ssh(restore.leader(session) or "ops", "/opt/till-host/current/bin/wal-archive facts")
    facts = json.loads(told.stdout or "{}")
    return facts.get("leads") and not facts["ready_files"] and not facts["failing"]

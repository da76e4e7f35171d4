"""People are told when a site is lost, whoever is gone, once; and what happened stands in a document."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from infra.contract import Contract, Role
from tests.fleet.conftest import STACK, container, inside, till
from tests.fleet.database import followed_site, leader, names_follow, until
from tests.fleet.faults import destroyed, fault
from tests.fleet.told import Told
from tests.policy import POLICY
from till.redact import Redactor

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1200)]
HOLD_S = POLICY["notify_hold_s"]
# A nameserver's check, the hold, a second's look, a claim, a delivery; and what a busy machine adds.
START_WITHIN_S = POLICY["nameserver_health_interval_s"] + POLICY["nameserver_health_timeout_s"] + HOLD_S["lost"] + 40
# Patroni's lease and its loop, and the same again.
SWITCH_WITHIN_S = POLICY["postgres_ttl_s"] + 2 * POLICY["postgres_loop_wait_s"] + 60
VERIFIED_WITHIN_S = 90
# A host boots, its copy is rewound or made anew, and the hold.
HEAL_WITHIN_S = 180 + HOLD_S["heal"]
STORY = ("start", "switch", "verified", "heal")
SPOOL, MEMORY = "/var/lib/till-notify/spool", "/var/lib/till-notify/memory.json"


@pytest.fixture(autouse=True)
def settled(lab: Contract) -> None:
    """A fleet that is well, whose names lead where the database does, and of which nothing is left to tell."""
    until("the fleet is not well", lambda: names_follow(lab), 240)
    # What a test before this lost is told as back after a hold; lost again before that, nobody is told anew.
    until(
        "something is not told as back", lambda: not any(unwell(host.name) for host in lab.hosts), HOLD_S["heal"] + 90
    )
    # A move of names that is younger than its hold is not known yet, and the way back from it would be no change.
    until("names were led elsewhere just now", lambda: names_remembered(lab) == {followed_site(lab)}, 60)
    until("something is left to tell", lambda: not any(spooled(host.name) for host in lab.hosts), 60)


def remembered(host: str) -> dict[str, str]:
    """Each subject's state as this host has told it or kept it."""
    return dict(json.loads(inside(host, f"cat {MEMORY}"))["states"])


def unwell(host: str) -> set[str]:
    """What a host remembers as not well."""
    return {subject for subject, state in remembered(host).items() if state in ("lost", "away", "stopped")}


def names_remembered(lab: Contract) -> set[str]:
    """The sites that names lead to, as the hosts remember it."""
    return {remembered(host.name).get("names", "") for host in lab.hosts}


def spooled(host: str) -> list[str]:
    # Each is written beside its name first.
    return [name for name in inside(host, f"ls {SPOOL}").split() if name.endswith(".json")]


@pytest.mark.matrix
def test_the_loss_of_the_leading_site_is_told_in_order_and_once(lab: Contract) -> None:
    gone, told = leader(lab), Told()
    with destroyed(gone) as lost_at:
        start = told.wait("start", START_WITHIN_S)
        switch = told.wait("switch", SWITCH_WITHIN_S)
        verified = told.wait("verified", VERIFIED_WITHIN_S)
    heal = told.wait("heal", HEAL_WITHIN_S)
    seconds = {one.kind: round(one.at - lost_at, 1) for one in (start, switch, verified, heal)}
    print(f"{gone} lost: told after {seconds} s, by {[one.host for one in told.all(*STORY)]}")
    assert [one.kind for one in told.all(*STORY)] == list(STORY)
    led = leader(lab)
    assert f"Site {gone} is lost" in start.text
    assert f"from {gone} to {led}" in switch.text
    for message in (start, switch, verified):
        assert gone != message.host
        assert f"till status {STACK}" in message.text
        assert "Since 20" in message.text
    assert f"The database leads on {led}." in heal.text
    assert "Customers notice" in heal.text
    documented(gone, led)
    unsaid(lab)


def documented(gone: str, led: str) -> None:
    """The incident's document has it all, at home and on the new leader's host; what people wrote into it stays."""
    code, shown, _ = till("incident", "show", STACK)
    assert (code, shown["lost"]) == (0, [gone])
    measured = shown["measured"]
    print(f"incident {shown['id']}: {measured}")
    assert 0 < measured["detected_s"] <= START_WITHIN_S
    assert measured["dns_switch_s"] <= measured["promoted_s"] < measured["verified_s"] < measured["healed_s"]
    document = Path(shown["document"])
    text = document.read_text()
    assert f"The database's leader moved from {gone} to {led}." in text
    assert f"| verified_s | {measured['verified_s']} |".split("|")[2].strip() in text
    document.write_text(text.replace("## Root cause\n______", "## Root cause\nA test."))
    assert till("incident", "list", STACK)[1]["incidents"][-1]["id"] == shown["id"]
    assert "## Root cause\nA test." in document.read_text()
    assert "leader moved" in inside(led, f"cat /var/lib/till-notify/incidents/*-{gone}.md | tail -60")


def unsaid(lab: Contract) -> None:
    """Nothing of a channel's address is anywhere but in root's file."""
    addresses = [*lab.channels(), lab.secrets["webhook_password"].get_secret_value()]
    redactor = Redactor(addresses)
    for host in (one.name for one in lab.hosts):
        assert json.loads(inside(host, "cat /etc/till/credentials/notify.json")) == lab.channels()
        seen = inside(
            host,
            "journalctl -o cat --no-pager; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ';"
            " cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' ';"
            # One that is told just now moves meanwhile.
            " cat /var/lib/till-notify/*/* /etc/till/notify.json || true",
        )
        assert redactor.scrub(seen) == seen, host


@pytest.mark.matrix
def test_what_a_channel_does_not_take_waits_and_is_told_once_in_order(lab: Contract) -> None:
    told, host = Told(), lab.hosts[0].name
    with fault("outside", "systemctl stop till-webhook", "systemctl start till-webhook"):
        for number in ("first", "second"):
            put(host, {"kind": "alert", "title": f"Till {STACK}: alert: {number}", "text": "A test."})
        until("no failure is said", lambda: "did not take it" in unit_log(host), 30)
        assert len(spooled(host)) == 2
        # A host that is started anew still knows.
        inside(host, "systemctl restart till-notify")
    told.wait("alert", 60, "second")
    until("something is left", lambda: not spooled(host), 30)
    # Others may come of what the tests before broke.
    ours = [word for one in told.all("alert") if (word := one.title.rpartition(" ")[2]) in ("first", "second")]
    assert ours == ["first", "second"]


def put(host: str, event: dict[str, str]) -> None:
    subprocess.run(
        ["docker", "exec", "--interactive", container(host), "/opt/till-host/current/bin/notify", "put"],
        input=json.dumps(event), text=True, check=True, timeout=30,
    )  # fmt: skip


def unit_log(host: str) -> str:
    return inside(host, "journalctl -u till-notify --since -60s -o cat --no-pager")


def test_an_alert_reaches_people_and_so_does_its_end(lab: Contract) -> None:
    told = Told()
    watching = next(host.name for host in lab.hosts if Role.MONITORING in host.roles)
    alert = "amtool alert add alertname=TillTest severity=warning --alertmanager.url=http://127.0.0.1:9093"
    inside(watching, f"{alert} --annotation=summary='A test.' --end=$(date -u -d '+40 sec' +%Y-%m-%dT%H:%M:%SZ)")
    began = told.wait("alert", 60, "TillTest")
    over = told.wait("resolved", 120, "TillTest")
    assert began.host == over.host == watching
    assert "A test." in began.text


@pytest.mark.matrix
def test_one_host_of_three_tells_though_it_has_no_quorum_and_ops_away_is_told_without_ops(lab: Contract) -> None:
    gone, told = leader(lab), Told()
    ops = next(host.name for host in lab.hosts if Role.MONITORING in host.roles)
    last = next(host.name for host in lab.hosts if host.name not in (gone, ops))
    with destroyed(ops) as lost_at:
        with destroyed(gone):
            start = told.wait("start", START_WITHIN_S + POLICY["notify_quorum_patience_s"] + 10)
        away = told.wait("away", HOLD_S["away"] + 60, ops)
    told.wait("heal", HEAL_WITHIN_S)
    told.wait("back", HEAL_WITHIN_S, ops)
    print(f"{gone} and {ops} lost: start {start.at - lost_at:.1f} s, away {away.at - lost_at:.1f} s")
    assert start.host == last
    assert "has no quorum" in start.text
    assert away.host != ops
    time.sleep(POLICY["notify_takeover_s"] / 3)
    assert Counter(one.kind for one in told.all("start", "away", "back", "heal")) == {
        "start": 1, "away": 1, "back": 1, "heal": 1
    }  # fmt: skip

"""Where the names lead when something breaks: asked at every nameserver and at a resolver that honours TTLs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dns.rcode
import pytest

from infra.contract import Contract, Role
from tests import signatures
from tests.fleet.answers import RESOLVER, Answers
from tests.fleet.conftest import STACK, inside, till
from tests.fleet.database import switch_over, third_view, until, well_again
from tests.fleet.faults import paused
from tests.fleet.places import other_edge, site_of
from tests.policy import POLICY
from till.public_dns import lookup

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]
# The bar is 10 s, which drills judge by; a busy machine adds to it.
SWITCHES_WITHIN_S = 30
HOLD_DOWN_S = POLICY["nameserver_hold_down_s"]
TTL_S = POLICY["nameserver_record_ttl_s"]
# Policy's interval, timeout and TTL, and what a busy machine adds.
SLACK_S = 15
# Shorter than the hold-down, longer than a check.
FLAPS, FLAP_S = 5, 4


@pytest.fixture
def answers(lab: Contract) -> Iterator[Answers]:
    """A fleet that is well and agreed, before the test and again after it."""
    with Answers(lab) as told:
        settle(told)
        yield told
        settle(told)


def settle(told: Answers) -> None:
    well_again(told.lab)
    edges = {host.site: host.name for host in told.lab.hosts if Role.EDGE in host.roles}
    if third_view() not in edges.values():
        move_leader(next(iter(edges.values())))
    # A check that a busy machine lets fail once begins the hold-down anew.
    told.switched(site_of(told.lab, third_view()), time.time(), 2 * HOLD_DOWN_S + SLACK_S)


def signed(answers: Answers, *silent: str) -> None:
    """What is answered just now holds against the zone's key, if the zone has one."""
    names = answers.lab.names
    for name, address in answers.nameservers.items():
        if name not in silent and names.dnssec:
            assert signatures.validated(address, names.zone, names.shop, "A").answer


def told_of() -> tuple[bool, list[str]]:
    """Whether nameservers agree, and the sites that they lead to, as `till status` has it."""
    told = till("status", STACK)[1]["dns"]
    return told["agree"], told["sites"]


def pair(lab: Contract) -> tuple[str, str]:
    """The site that leads and the other one; in this lab a site's edge host has its name."""
    first = third_view()
    return first, other_edge(lab, first)


def move_leader(host: str) -> float:
    began = time.time()
    switch_over(third_view(), host)
    until(f"{host} does not lead", lambda: third_view() == host, 60)
    return began


@contextmanager
def stopped(unit: str, *hosts: str) -> Iterator[float]:
    began = time.time()
    try:
        for host in hosts:
            inside(host, f"systemctl stop {unit}")
        yield began
    finally:
        for host in hosts:
            inside(host, f"systemctl start {unit}")


def test_a_dead_edge_is_left_within_seconds_and_taken_back_after_the_hold_down(lab: Contract, answers: Answers) -> None:
    first, other = pair(lab)
    with stopped("haproxy", first) as stopped_at:
        left = answers.switched(site_of(lab, other), stopped_at, SWITCHES_WITHIN_S)
        assert third_view() == first
        signed(answers)
        until("status tells it otherwise", lambda: told_of() == (True, [site_of(lab, other)]))
        time.sleep(HOLD_DOWN_S / 2)
        assert answers.sites(time.time() - HOLD_DOWN_S / 4) - {"silence"} == {site_of(lab, other)}
    back_at = time.time()
    # As in `settle`.
    back = answers.switched(site_of(lab, first), back_at, 2 * HOLD_DOWN_S + SLACK_S)
    print(f"HAProxy of {first} stopped, {other} answered after {left} s; started, {first} answered after {back} s")
    assert max(left.values()) <= SWITCHES_WITHIN_S
    assert min(back.values()) >= HOLD_DOWN_S - 2
    assert answers.sites(stopped_at) - {"silence"} == {site_of(lab, first), site_of(lab, other)}


@pytest.mark.matrix
def test_a_site_that_is_gone_is_left_before_anybody_leads_and_stays_second(lab: Contract, answers: Answers) -> None:
    first, other = pair(lab)
    # Answers of the dead site must not come from the other side's dead nameserver: it is silent.
    with paused(first) as paused_at:
        left = answers.switched(site_of(lab, other), paused_at, SWITCHES_WITHIN_S + SLACK_S, first)
        new = until("nobody took over", lambda: (now := third_view()) != first and now, 90)
        promoted_s = time.time() - paused_at
        signed(answers, first)
        until("status tells it otherwise", lambda: told_of() == (True, [site_of(lab, other)]))
        time.sleep(5)
    healed_at = time.time()
    well_again(lab)
    # The nameserver that was away may tell what it last knew until its first check.
    answers.switched(site_of(lab, other), healed_at, 60)
    agreed_at = time.time()
    time.sleep(HOLD_DOWN_S + 5)
    print(f"{first} paused: {other} answered after {left} s, {new} led after {promoted_s:.1f} s; no way back by itself")
    assert max(left.values()) <= SWITCHES_WITHIN_S
    assert new == other
    others = [name for name in answers.nameservers if name != first]
    assert answers.sites(healed_at, *others) - {"silence"} == {site_of(lab, other)}
    assert answers.sites(agreed_at) - {"silence"} == {site_of(lab, other)}
    assert "empty" not in answers.sites(paused_at)


@pytest.mark.matrix
def test_an_edge_that_comes_and_goes_moves_names_once(lab: Contract, answers: Answers) -> None:
    first, other = pair(lab)
    began = time.time()
    for _ in range(FLAPS):
        with stopped("haproxy", first):
            time.sleep(FLAP_S)
        time.sleep(FLAP_S)
    story = answers.story(began)
    print(f"HAProxy of {first} gone {FLAPS} times in {time.time() - began:.0f} s: {story}")
    # A resolver hears this one and that one, which may notice different gaps (ADR 16).
    assert {who: len(told) for who, told in story.items() if who != RESOLVER} == dict.fromkeys(answers.nameservers, 2)
    assert {len(told) % 2 for told in story.values()} == {0}, story
    assert answers.sites(time.time() - FLAP_S) - {"silence"} == {site_of(lab, other)}


@pytest.mark.matrix
def test_with_no_edge_at_all_there_is_still_the_preferred_sites_answer(lab: Contract, answers: Answers) -> None:
    first, other = pair(lab)
    with stopped("haproxy", first, other) as stopped_at:
        time.sleep(SLACK_S)
        # Some may have gone to the site whose edge stopped second, for the time of their checks.
        answers.switched(site_of(lab, first), stopped_at, 60)
        told = answers.sites(stopped_at) - {"silence"}
        signed(answers)
    print(f"both edges stopped: answered {sorted(told)}, at last {site_of(lab, first)}")
    assert told <= {site_of(lab, first), site_of(lab, other)}


@pytest.mark.matrix
def test_a_nameserver_that_starts_while_a_site_is_dead_names_the_living_one(lab: Contract, answers: Answers) -> None:
    first, other = pair(lab)
    dead, living = site_of(lab, first), site_of(lab, other)
    with stopped("haproxy", first) as stopped_at:
        answers.switched(living, stopped_at, SWITCHES_WITHIN_S)
        restarted_at = time.time()
        for host in answers.nameservers:
            inside(host, "systemctl restart pdns")
        time.sleep(5)
        with_memory = answers.sites(restarted_at)
        # A nameserver that never knew: no order, no check, and nobody asked it.
        try:
            inside("ops", "systemctl stop till-site-order pdns && rm /var/lib/till-site-order/order")
        finally:
            new_at = time.time()
            inside("ops", "systemctl start pdns till-site-order")
        wrong = answers.switched(living, new_at, SWITCHES_WITHIN_S)["ops"]
        time.sleep(TTL_S + 5)
        right_at = new_at + wrong + 1
        assert answers.sites(right_at, *answers.nameservers) - {"silence"} == {living}
        # A resolver that asked just then remembers it.
        assert answers.sites(right_at + TTL_S) - {"silence"} == {living}
    print(f"restarted with {dead} dead: answered {sorted(with_memory)}; without memory {dead} for {wrong} s at most")
    assert with_memory <= {living, "silence"}
    assert wrong <= POLICY["nameserver_health_interval_s"] + POLICY["nameserver_health_timeout_s"] + 12


def serials(lab: Contract) -> set[int]:
    return {one["serial"] for one in lookup.ask_nameservers(lab, lab.names.shop).values()}


def test_what_a_certificate_order_writes_is_signed_on_every_nameserver(lab: Contract, answers: Answers) -> None:
    assert lab.names.dnssec, "the lab's zone is signed (till:dnssec)"
    before, edge = serials(lab), third_view()
    hook = f"CERTBOT_DOMAIN={lab.names.shop} CERTBOT_VALIDATION=till-test /opt/till-host/current/bin/acme-dns"
    zone, challenge = lab.names.zone, f"_acme-challenge.{lab.names.shop}"
    inside(edge, f"{hook} add")
    try:
        for address in answers.nameservers.values():
            (record,) = signatures.validated(address, zone, challenge, "TXT").answer[0]
            assert record.strings == (b"till-test",)
    finally:
        inside(edge, f"{hook} remove")
    for address in answers.nameservers.values():
        assert signatures.validated(address, zone, challenge, "TXT").rcode() == dns.rcode.NXDOMAIN
    assert len(serials(lab)) == 1
    assert min(serials(lab)) > max(before)


@pytest.mark.matrix
def test_a_nameserver_that_lost_its_key_and_its_step_is_brought_back(lab: Contract, answers: Answers) -> None:
    ops, zone = answers.nameservers["ops"], lab.names.zone
    credentials = "/etc/till/credentials/nameserver.json"
    try:
        inside("ops", f"""sed -i 's/"dnssec_key": "[^"]*"/"dnssec_key": ""/' {credentials}""")
        serial = json.loads(inside("ops", "/opt/till-host/current/bin/zone read"))
        assert serial["complete"] is False
        inside("ops", f"/opt/till-host/current/bin/zone write {serial['serial'] + 1}")
        assert signatures.key(ops, zone) is None
        code, told, _ = till("status", STACK)
        assert (code, told["ok"]) != (0, True)
        assert "out of step" in str(told["faults"])
    finally:
        code, told, messages = till("provision", STACK, "--tags", "nameserver")
    assert code == 0, messages[-3000:]
    assert len(serials(lab)) == 1
    assert {str(signatures.key(address, zone)) for address in answers.nameservers.values()} == {
        str(signatures.key(ops, zone))
    }
    signed(answers)

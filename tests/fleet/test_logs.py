"""Logs of a whole fleet: nothing is lost while the log store is away, and nothing personal is ever in them."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from infra.contract import Contract, Role
from tests.fleet.conftest import PAYMENT_INTERVAL_S, STACK, till
from tests.fleet.test_lab import Buyer, inside, shop
from till import redact
from till.observe import probe

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1200)]

__all__ = ["shop"]

STORE = "/var/log/till-store"
SENDER = "alpha"
EVENTS = 2000
PAUSES = 20
# A sender that waits for an answer takes its deadline, then its retries; the machine may be busy.
DELIVERED_WITHIN_S = 90
# What a sender sends again at each of its starts, and what it resends to a receiver that comes back.
RESENT_AT_MOST = 75 + 64
CARD = re.compile(
    r"(?<![\w.-])(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2})([ -]?)\d{4}\1\d{4}\1\d{4}(?![\w.-])"
    r"|(?<![\w.-])3[47]\d{13}(?![\w.-])"
)
TOKENS = {
    "bearer token": re.compile(r"(?i)\bbearer\s+[\w.~+/-]{8,}"),
    "basic credentials": re.compile(r"(?i)\bbasic\s+[A-Za-z0-9+/]{16,}={0,2}"),
    "JSON web token": re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}"),
    "private key": re.compile(r"PRIVATE KEY"),
    "session": re.compile(r"till_session=\w"),
}


def keeper(lab: Contract) -> str:
    """The host that keeps the logs."""
    return next(host.name for host in lab.hosts if Role.LOG_STORE in host.roles)


def arrived(lab: Contract, mark: str) -> Counter[int]:
    """How often each of the numbered events of a mark is in the store."""
    found = inside(keeper(lab), f"grep -rhoE '{mark} [0-9]+' {STORE}/info/{SENDER} || true")
    return Counter(int(line.split()[1]) for line in found.splitlines())


def emit(mark: str, first: int, last: int) -> None:
    inside(SENDER, f"seq -f '{mark} %.0f' {first} {last} | logger -t till-fleet")


def wait_for_all(lab: Contract, mark: str) -> Counter[int]:
    began = time.monotonic()
    while len(found := arrived(lab, mark)) < EVENTS:
        assert time.monotonic() - began < DELIVERED_WITHIN_S, f"{len(found)} of {EVENTS} events arrived"
        time.sleep(0.5)
    print(f"all {EVENTS} events within {time.monotonic() - began:.1f} s, {found.total() - EVENTS} more than once")
    assert set(found) == set(range(1, EVENTS + 1))
    return found


@contextmanager
def stopped(lab: Contract) -> Iterator[None]:
    """The receiver does not run: connections are refused."""
    inside(keeper(lab), "systemctl stop till-log-store.service")
    try:
        yield
    finally:
        inside(keeper(lab), "systemctl start till-log-store.service")


@contextmanager
def cut_off(lab: Contract) -> Iterator[None]:
    """Packets to the receiver are lost, those of the open connection too: nobody answers."""
    inside(keeper(lab), "nft insert rule inet till input iif != lo tcp dport 2514 drop")
    try:
        yield
    finally:
        inside(keeper(lab), "systemctl reload nftables.service")


RESTARTS = {
    "restarted": "systemctl restart till-log-ship@{keeper}.service",
    "killed": "systemctl kill --signal=KILL till-log-ship@{keeper}.service",
}


@pytest.mark.parametrize(
    ("away", "restart"),
    [
        (stopped, "restarted"),
        pytest.param(stopped, "killed", marks=pytest.mark.matrix),
        pytest.param(cut_off, "restarted", marks=pytest.mark.matrix),
        pytest.param(cut_off, "killed", marks=pytest.mark.matrix),
    ],
)
def test_nothing_is_lost_while_the_store_is_away(lab: Contract, away: Callable[..., object], restart: str) -> None:
    mark = f"till-{uuid.uuid4().hex}"
    with away(lab):  # type: ignore[attr-defined]
        emit(mark, 1, EVENTS // 2)
        # The window is full and unanswered: what it holds is forgotten with the sender.
        time.sleep(2)
        inside(SENDER, RESTARTS[restart].format(keeper=keeper(lab)))
        emit(mark, EVENTS // 2 + 1, EVENTS)
        time.sleep(2)
        assert not arrived(lab, mark)
        # The application never waited for its logs.
        kept = f"journalctl --sync; journalctl -q -t till-fleet -o cat | grep -c '{mark}'"
        assert inside(SENDER, kept).strip() == str(EVENTS)
    assert wait_for_all(lab, mark).total() - EVENTS <= 2 * RESENT_AT_MOST


@pytest.mark.matrix
def test_nothing_is_lost_when_both_ends_are_killed_in_the_middle(lab: Contract) -> None:
    mark = f"till-{uuid.uuid4().hex}"
    step = EVENTS // PAUSES
    kills = {4: (SENDER, "killed"), 8: (keeper(lab), ""), 12: (SENDER, "killed"), 16: (keeper(lab), "")}
    for number in range(PAUSES):
        emit(mark, number * step + 1, (number + 1) * step)
        if number in kills:
            host, how = kills[number]
            receiver = "systemctl kill --signal=KILL till-log-store.service"
            inside(host, RESTARTS[how].format(keeper=keeper(lab)) if how else receiver)
    assert wait_for_all(lab, mark).total() - EVENTS <= len(kills) * RESENT_AT_MOST


@pytest.mark.matrix
def test_an_event_that_is_too_long_is_cut_and_holds_nothing_up(lab: Contract) -> None:
    mark = f"till-{uuid.uuid4().hex}"
    # Over the journal's native protocol: by standard output, journald would cut lines itself.
    noise = "python3 -c 'print(chr(1) * 300000, end=str())'"
    inside(SENDER, f'printf "MESSAGE=%s %s\\n" {mark}-long "$({noise})" | logger --journald')
    emit(mark, 1, EVENTS)
    wait_for_all(lab, mark)
    # What was not acknowledged in time is sent again, and is the same.
    (line,) = set(inside(keeper(lab), f"grep -rh {mark}-long {STORE}/*/{SENDER}").splitlines())
    event = json.loads(line)
    assert 30_000 < len(event["message"]) <= 32_768


def messages(lab: Contract) -> str:
    """All that the store holds, as people read it: JSON's escapes resolved."""
    raw = inside(keeper(lab), f"find {STORE} -type f -name '2*' -exec zcat -f {{}} +")
    return "\n".join(str(value) for line in raw.splitlines() for value in json.loads(line).values())


def luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def test_nothing_personal_and_no_secret_is_in_the_logs(lab: Contract, shop: probe.Site) -> None:
    code, told, _ = till("smoke", STACK)
    assert code == 0, told
    buyer = Buyer(lab, shop)
    paid = buyer.create(str(uuid.uuid4())).json()
    buyer.approve(paid["order_id"])
    time.sleep(PAYMENT_INTERVAL_S)
    assert buyer.capture(paid["order_id"]).status_code == 200
    # The database refuses a customer who is there already, and would tell who in the error's details.
    known = {"name": "Smoke Test", "email": f"smoke@{lab.names.shop}", "locale": "en"}
    token = lab.secrets["directus_api_token"].get_secret_value()
    with probe.Site(lab.names.admin, shop.address, probe.public_trust(lab)) as admin:
        headers = {"Authorization": f"Bearer {token}"}
        refused = admin.ask("POST", "/items/customers", headers=headers, json=known)
    assert refused.json()["errors"][0]["extensions"]["code"] == "RECORD_NOT_UNIQUE"

    deadline = time.monotonic() + DELIVERED_WITHIN_S
    expected = [told["transaction_id"], paid["order_id"], "duplicate key value violates unique constraint"]
    while missing := [word for word in expected if word not in (text := messages(lab))]:
        assert time.monotonic() < deadline, f"not in the logs: {missing}"
        time.sleep(1)

    session = buyer.cookie["Cookie"].partition("=")[2]
    personal = [*list(known.values())[:2], "O'Neill", "ليلى", "layla@shop.example", "smoke%40", session]
    assert [word for word in personal if word in text] == []
    assert [name for name, pattern in TOKENS.items() if pattern.search(text)] == []
    assert [card[0] for card in CARD.finditer(text) if luhn(re.sub(r"\D", "", card[0]))] == []
    assert redact.of(lab).scrub(text) == text


def test_patterns_find_what_they_are_for() -> None:
    cards = "4111 1111 1111 1111, 5555555555554444 and 378282246310005, not 4111111111111112 or 17641234567890123"
    found = [card[0] for card in CARD.finditer(cards) if luhn(re.sub(r"\D", "", card[0]))]
    assert found == ["4111 1111 1111 1111", "5555555555554444", "378282246310005"]
    said = "Authorization: Bearer A21AAKx-1 / Basic dXNlcjpwYXNzd29yZA== / eyJhbGciOiJI.eyJzdWIiOiIx / till_session=0a"
    assert {name for name, pattern in TOKENS.items() if pattern.search(said)} == set(TOKENS) - {"private key"}

"""Payments against PayPal's side of them: what differs is named, and what can't be asked is no "nothing differs"."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from till_host.payments import compare, ledger
from till_host.slots import units

ATTEMPT = {"paypal_order_id": "P1", "status": "completed", "charge_currency": "USD", "charge_amount": "12.50"}
ORDER = {**ATTEMPT, "payment_intent_id": "T1", "payment_status": "completed"}
CAPTURE = {"id": "T1", "status": "COMPLETED", "amount": {"currency_code": "USD", "value": "12.5"}}
TWICE = [CAPTURE, {**CAPTURE, "id": "T2"}]


@pytest.fixture
def pure() -> ModuleType:
    return compare


@pytest.mark.parametrize(
    ("attempt", "orders", "captures", "told"),
    [
        ({}, [ORDER], [CAPTURE], ""),
        ({"status": "created"}, [], [], ""),
        ({"status": "created"}, [], [{**CAPTURE, "status": "DECLINED"}], ""),
        ({}, [{**ORDER, "payment_status": "refunded"}], [{**CAPTURE, "status": "REFUNDED"}], ""),
        ({"status": "capturing"}, [], [CAPTURE], "it was charged, and there is no order"),
        ({}, [ORDER], [], "there is an order, and nothing was charged"),
        ({}, [ORDER], [{**CAPTURE, "status": "DECLINED"}], "there is an order, and nothing was charged"),
        ({}, [], [], "it is noted as paid, and there is neither an order nor a charge"),
        ({}, [ORDER], TWICE, "charged 2 times"),
        ({}, [ORDER, ORDER], [CAPTURE], "it has 2 orders"),
        ({}, [{**ORDER, "payment_intent_id": "T9"}], [CAPTURE], "the order names another transaction than PayPal"),
        ({}, [{**ORDER, "charge_amount": "13.50"}], [CAPTURE], "the order says 13.50 USD, PayPal charged 12.5 USD"),
        ({"charge_currency": "EUR"}, [ORDER], [CAPTURE], "the attempt says 12.50 EUR, PayPal charged 12.5 USD"),
        ({}, [{**ORDER, "charge_amount": None}], [CAPTURE], "the order says None USD, PayPal charged 12.5 USD"),
        ({}, [{**ORDER, "payment_status": "pending"}], [CAPTURE], "it was charged, and the order is pending"),
    ],
)
def test_each_difference_is_named(
    pure: ModuleType, attempt: dict[str, Any], orders: list[Any], captures: list[Any], told: str
) -> None:
    found = pure.faults([{**ATTEMPT, **attempt}], orders, {"P1": captures})
    assert found == ({"P1": [told]} if told else {})


class Sides(BaseHTTPRequestHandler):
    """Directus and PayPal as the program asks them; `broken` answers 503."""

    attempts: ClassVar[list[dict[str, Any]]] = []
    broken, forgotten = "", ""
    captures: ClassVar[list[list[dict[str, Any]]]] = []
    asked: ClassVar[list[tuple[str, str]]] = []
    filters: ClassVar[list[dict[str, Any]]] = []

    def answer(self) -> None:
        split = urlsplit(self.path)
        self.asked.append((split.path, str(self.headers["Authorization"])))
        documents: dict[str, Any] = {
            "/items/payment_attempts": {"data": self.attempts},
            "/items/orders": {"data": [ORDER]},
            "/v1/oauth2/token": {"access_token": "granted"},
        }
        if split.path == "/v2/checkout/orders/P1":
            # What PayPal says when it is asked again.
            taken = self.captures.pop(0) if len(self.captures) > 1 else self.captures[0]
            documents[split.path] = {"purchase_units": [{"payments": {"captures": taken}}]}
        if split.path.startswith("/items"):
            self.filters.append(json.loads(parse_qs(split.query)["filter"][0]))
        body = json.dumps(documents.get(split.path, {})).encode()
        known = split.path in documents and split.path != self.broken
        self.send_response(404 if split.path == self.forgotten else 200 if known else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(ledger, "AGAIN_S", 0.05)
    monkeypatch.setattr(units, "ENVIRONMENT", str(tmp_path / "app-{slot}.env"))
    fresh = {"attempts": [ATTEMPT], "broken": "", "forgotten": "", "captures": [[CAPTURE]], "asked": [], "filters": []}
    for name, value in fresh.items():
        monkeypatch.setattr(Sides, name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Sides) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "app-green.env").write_text(
            f'# Managed.\nDIRECTUS_INTERNAL_URL="{here}"\nDIRECTUS_API_TOKEN="to\\"ken"\nPAYPAL_API_URL="{here}"\n'
            'NEXT_PUBLIC_PAYPAL_CLIENT_ID="client"\nPAYPAL_CLIENT_SECRET="hidden"\n'
        )
        yield ledger
        server.shutdown()


WORDS = ["green", "600", "50", "0.5", "5"]


def test_both_sides_are_asked_with_the_releases_own_credentials(
    program: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(WORDS) == 0
    assert json.loads(capsys.readouterr().out) == {"payments": 1, "faults": [], "more": False}
    proofs = dict(Sides.asked)
    assert proofs["/items/orders"] == 'Bearer to"ken'
    assert proofs["/v2/checkout/orders/P1"] == "Bearer granted"


def test_what_was_only_on_its_way_is_no_difference(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """The order is read before PayPal has the capture."""
    Sides.captures = [[], [], [CAPTURE]]
    assert program.main(WORDS) == 0
    assert json.loads(capsys.readouterr().out)["faults"] == []
    # Asked again are only those that differed.
    assert Sides.filters[-2] == {"paypal_order_id": {"_in": ["P1"]}}


def test_what_goes_on_differing_is_told(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Sides.captures = [[]]
    assert program.main(WORDS) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["faults"] == ["PayPal order P1: there is an order, and nothing was charged"] and told["payments"] == 0


def test_an_order_that_paypal_has_forgotten_was_never_paid(
    program: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Sides.forgotten, Sides.attempts = "/v2/checkout/orders/P1", [{**ATTEMPT, "status": "capturing"}]
    monkeypatch.setitem(globals(), "ORDER", {**ORDER, "paypal_order_id": "P2"})
    assert program.main(WORDS) == 0
    assert json.loads(capsys.readouterr().out)["faults"] == []


def test_only_payments_for_which_money_was_asked_are_looked_at_and_more_is_said(
    program: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["green", "600", "1", "0.5", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["more"] is True
    asked = Sides.filters[0]["_and"]
    assert {"status": {"_nin": ["started", "created"]}} in asked
    since = datetime.fromisoformat(asked[2]["_or"][0]["updated_at"]["_gte"])
    assert 595 < (datetime.now(UTC) - since).total_seconds() < 630


def test_nothing_paid_is_nothing_compared(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Sides.attempts = []
    assert program.main(WORDS) == 0
    assert json.loads(capsys.readouterr().out) == {"payments": 0, "faults": [], "more": False}
    assert [path for path, _ in Sides.asked] == ["/items/payment_attempts"]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("/items/orders", "Directus answers 503 to /items/orders"),
        ("/v1/oauth2/token", "PayPal answers 503 to /v1/oauth2/token"),
        ("/v2/checkout/orders/P1", "PayPal answers 503 to /v2/checkout/orders/P1"),
    ],
)
def test_a_side_that_can_not_be_asked_is_a_failure_without_secrets(
    program: ModuleType, capsys: pytest.CaptureFixture[str], broken: str, told: str
) -> None:
    Sides.broken = broken
    assert program.main(WORDS) == 1
    said = capsys.readouterr()
    assert told in said.err and said.out == ""
    assert "hidden" not in said.err and 'to"ken' not in said.err


def test_what_is_missing_in_the_environment_is_named(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app-green.env").write_text('PAYPAL_API_URL="x"\n')
    assert program.main(WORDS) == 1
    assert "DIRECTUS_API_TOKEN" in capsys.readouterr().err
    assert program.main(["green"]) == 2

"""Payments against PayPal's side of them: what differs is named, and what can't be asked is no "nothing differs"."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.programs import load

ATTEMPT = {"paypal_order_id": "P1", "status": "completed", "charge_currency": "USD", "charge_amount": "12.50"}
ORDER = {**ATTEMPT, "payment_intent_id": "T1", "payment_status": "completed"}
CAPTURE = {"id": "T1", "status": "COMPLETED", "amount": {"currency_code": "USD", "value": "12.5"}}
TWICE = [CAPTURE, {**CAPTURE, "id": "T2"}]


@pytest.fixture
def pure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("storefront", "till_ledger")


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
    assert found == ([f"PayPal order P1: {told}"] if told else [])


class Sides(BaseHTTPRequestHandler):
    """Directus and PayPal as the program asks them; `broken` answers 503."""

    attempts: ClassVar[list[dict[str, Any]]] = []
    broken = ""
    asked: ClassVar[list[tuple[str, str]]] = []

    def answer(self) -> None:
        split = urlsplit(self.path)
        self.asked.append((split.path, str(self.headers["Authorization"])))
        documents: dict[str, Any] = {
            "/items/payment_attempts": {"data": self.attempts},
            "/items/orders": {"data": [ORDER]},
            "/v1/oauth2/token": {"access_token": "granted"},
            "/v2/checkout/orders/P1": {"purchase_units": [{"payments": {"captures": [CAPTURE]}}]},
        }
        if split.path.startswith("/items"):
            json.loads(parse_qs(split.query)["filter"][0])
        body = json.dumps(documents.get(split.path, {})).encode()
        known = split.path in documents and split.path != self.broken
        self.send_response(200 if known else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def program(tmp_path: Path, pure: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setitem(sys.modules, "till_ledger", pure)
    found = load("storefront", "ledger")
    monkeypatch.setattr(found, "ENVIRONMENT", str(tmp_path / "storefront-{slot}.env"))
    for name, value in {"attempts": [ATTEMPT], "broken": "", "asked": []}.items():
        monkeypatch.setattr(Sides, name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Sides) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "storefront-green.env").write_text(
            f'# Managed.\nDIRECTUS_INTERNAL_URL="{here}"\nDIRECTUS_API_TOKEN="to\\"ken"\nPAYPAL_API_URL="{here}"\n'
            'NEXT_PUBLIC_PAYPAL_CLIENT_ID="client"\nPAYPAL_CLIENT_SECRET="hidden"\n'
        )
        yield found
        server.shutdown()


WORDS = ["green", "0", "50", "20", "5"]


def test_both_sides_are_asked_with_the_releases_own_credentials(
    program: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(WORDS) == 0
    assert json.loads(capsys.readouterr().out) == {"payments": 1, "faults": []}
    proofs = dict(Sides.asked)
    assert proofs["/items/orders"] == 'Bearer to"ken'
    assert proofs["/v2/checkout/orders/P1"] == "Bearer granted"


def test_nothing_paid_is_nothing_compared(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Sides.attempts = []
    assert program.main(WORDS) == 0
    assert json.loads(capsys.readouterr().out) == {"payments": 0, "faults": []}
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
    (tmp_path / "storefront-green.env").write_text('PAYPAL_API_URL="x"\n')
    assert program.main(WORDS) == 1
    assert "DIRECTUS_API_TOKEN" in capsys.readouterr().err
    assert program.main(["green"]) == 2

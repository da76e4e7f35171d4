"""Webhooks: who hears what, signed so that anyone can check, tried again but not for ever."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .conftest import Keys, Receiver, Simulator, free_port, issue, order_body, wait_for

WEBHOOKS, VERIFY = "/v1/notifications/webhooks", "/v1/notifications/verify-webhook-signature"
COMPLETED, REFUNDED, APPROVED = "PAYMENT.CAPTURE.COMPLETED", "PAYMENT.CAPTURE.REFUNDED", "CHECKOUT.ORDER.APPROVED"


@pytest.fixture
def shop(start: Callable[..., Simulator], receiver: Receiver, keys: Keys) -> Simulator:
    return start("--webhook-url", receiver.url, "--webhook-id", "WH-TEST", "--webhook-ca", str(keys.cert))


def fields(headers: dict[str, str], webhook_id: str = "WH-TEST") -> dict[str, str]:
    names = ("auth-algo", "cert-url", "transmission-id", "transmission-sig", "transmission-time")
    return {name.replace("-", "_"): headers[f"paypal-{name}"] for name in names} | {"webhook_id": webhook_id}


def verdict(shop: Simulator, given: dict[str, str], event: bytes) -> str:
    """What PayPal says of an event that a client sends back byte for byte."""
    text = json.dumps(given)[:-1].encode() + b', "webhook_event": ' + event + b"}"
    headers = {"Authorization": f"Bearer {shop.token}", "Content-Type": "application/json"}
    answer = shop.client.post(VERIFY, content=text, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["verification_status"])


def test_a_payment_is_told_step_by_step(shop: Simulator, receiver: Receiver) -> None:
    order, capture = shop.paid()
    shop.call("POST", f"/v2/payments/captures/{capture['id']}/refund", {})
    wait_for(lambda: len(receiver.got) == 3)
    told = {json.loads(body)["event_type"]: json.loads(body) for _, body in receiver.got}
    assert set(told) == {APPROVED, COMPLETED, REFUNDED}
    assert told[APPROVED]["resource"]["id"] == order
    assert told[COMPLETED]["resource"] == capture
    assert told[REFUNDED]["resource"]["links"][0]["href"].endswith(capture["id"])
    types = [told[kind]["resource_type"] for kind in (APPROVED, COMPLETED, REFUNDED)]
    assert types == ["checkout-order", "capture", "refund"]
    assert "buyer@example.com" not in shop.log.read_text()


def test_anyone_can_check_the_signature(shop: Simulator, receiver: Receiver) -> None:
    shop.paid()
    wait_for(lambda: receiver.events(COMPLETED))
    headers, body = receiver.events(COMPLETED)[0]
    given = fields(headers)
    assert given["auth_algo"] == "SHA256withRSA"
    certificate = x509.load_pem_x509_certificate(shop.client.get(given["cert_url"]).content)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signed = f"{given['transmission_id']}|{given['transmission_time']}|WH-TEST|{zlib.crc32(body)}"
    key.verify(base64.b64decode(given["transmission_sig"]), signed.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_verification(shop: Simulator, receiver: Receiver) -> None:
    shop.paid()
    wait_for(lambda: receiver.events(COMPLETED))
    headers, body = receiver.events(COMPLETED)[0]
    given = fields(headers)
    assert verdict(shop, given, body) == "SUCCESS"
    assert verdict(shop, given, body.replace(b"32.10", b"3.10")) == "FAILURE"
    # Parsed and written anew with other spaces: the signature covers bytes.
    assert verdict(shop, given, json.dumps(json.loads(body), indent=1).encode()) == "FAILURE"
    for name, wrong in [
        ("webhook_id", "WH-OTHER"),
        ("transmission_time", "2026-01-01T00:00:00Z"),
        ("transmission_sig", "AAAA"),
        ("transmission_sig", "?"),
        ("auth_algo", "none"),
    ]:
        assert verdict(shop, given | {name: wrong}, body) == "FAILURE"


def test_an_event_written_anew_by_javascript_verifies(shop: Simulator, receiver: Receiver) -> None:
    wanted = ["attempt-1", "عُمان €", 'a/b "c"\\ \n\u0001\u007f\u2028', "\U0001f600", "\ud800 alone"]
    for words in wanted:
        unit = order_body()["purchase_units"][0] | {"custom_id": words}
        # As escaped JSON: half of a surrogate pair has no UTF-8.
        content = json.dumps(order_body() | {"purchase_units": [unit]})
        headers = {"Authorization": f"Bearer {shop.token or shop.login()}", "Content-Type": "application/json"}
        order = shop.client.post("/v2/checkout/orders", content=content, headers=headers).json()["id"]
        shop.approve(order)
        assert shop.capture(order).status_code == 201
    wait_for(lambda: len(receiver.events(COMPLETED)) == len(wanted))
    events = receiver.events(COMPLETED)
    assert {json.loads(body)["resource"]["custom_id"] for _, body in events} == set(wanted)
    for headers, body in events:
        # JSON.stringify: no spaces, nothing escaped but what must be, and half of a surrogate pair.
        anew = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")
        assert verdict(shop, fields(headers), anew) == "SUCCESS"
        assert verdict(shop, fields(headers), anew.replace(b"32.10", b"32.11")) == "FAILURE"


@pytest.mark.parametrize("missing", ["webhook_event", "webhook_id", "transmission_sig"])
def test_verification_needs_every_field(paypal: Simulator, missing: str) -> None:
    names = ("auth_algo", "cert_url", "transmission_id", "transmission_sig", "transmission_time", "webhook_id")
    whole: dict[str, Any] = dict.fromkeys(names, "x") | {"webhook_event": {}}
    del whole[missing]
    assert issue(paypal.call("POST", VERIFY, whole)) == (400, "INVALID_REQUEST", "MISSING_REQUIRED_PARAMETER")
    assert issue(paypal.call("POST", VERIFY, []))[2] == "MISSING_REQUIRED_PARAMETER"


def test_refused_deliveries_come_again_as_the_same(shop: Simulator, receiver: Receiver) -> None:
    order = shop.order()["id"]
    receiver.statuses = [500, 503]
    shop.approve(order)
    wait_for(lambda: len(receiver.got) == 3)
    assert len({headers["paypal-transmission-id"] for headers, _ in receiver.got}) == 1
    assert len({body for _, body in receiver.got}) == 1
    assert verdict(shop, fields(receiver.got[-1][0]), receiver.got[-1][1]) == "SUCCESS"


def test_deliveries_are_given_up_in_the_end(shop: Simulator, receiver: Receiver) -> None:
    order = shop.order()["id"]
    receiver.statuses = [500] * 10
    shop.approve(order)
    wait_for(lambda: "webhook_given_up" in shop.log.read_text())
    assert len(receiver.got) == 3


def test_a_restart_takes_up_what_waits(start: Callable[..., Simulator], keys: Keys) -> None:
    port = free_port()
    nobody = f"https://127.0.0.1:{port}/"
    trust = ("--webhook-ca", str(keys.cert))
    first = start("--webhook-url", nobody, "--webhook-id", "WH-TEST", "--webhook-pauses-s", "0.1,60", *trust)
    first.paid()
    wait_for(lambda: first.log.read_text().count('"outcome"') == 2)
    first.process.kill()
    first.process.wait()
    # The receiver comes to the address at which nobody was.
    moved = Receiver(keys, port)
    second = start("--webhook-url", nobody, "--webhook-id", "WH-TEST", "--webhook-pauses-s", "0.1,0.1", *trust)
    wait_for(lambda: moved.events(COMPLETED) and moved.events(APPROVED))
    second.login()
    headers, body = moved.events(COMPLETED)[0]
    assert verdict(second, fields(headers), body) == "SUCCESS"
    moved.server.shutdown()
    moved.server.server_close()


def test_receivers_choose_their_events(start: Callable[..., Simulator], keys: Keys, receiver: Receiver) -> None:
    paypal = start("--webhook-ca", str(keys.cert))
    wanted = {"url": receiver.url, "event_types": [{"name": REFUNDED}]}
    hook = paypal.call("POST", WEBHOOKS, wanted)
    assert (hook.status_code, hook.json()["event_types"]) == (201, [{"name": REFUNDED}])
    assert issue(paypal.call("POST", WEBHOOKS, wanted))[2] == "WEBHOOK_URL_ALREADY_EXISTS"
    assert paypal.call("GET", WEBHOOKS).json() == {"webhooks": [hook.json()]}
    _, capture = paypal.paid()
    paypal.call("POST", f"/v2/payments/captures/{capture['id']}/refund", {})
    wait_for(lambda: receiver.events(REFUNDED))
    assert len(receiver.got) == 1
    assert paypal.call("DELETE", f"{WEBHOOKS}/{hook.json()['id']}").status_code == 204
    assert paypal.call("DELETE", f"{WEBHOOKS}/{hook.json()['id']}").status_code == 404


def test_certificates_are_checked_unless_told_otherwise(start: Callable[..., Simulator], receiver: Receiver) -> None:
    careful = start("--webhook-url", receiver.url)
    careful.paid()
    wait_for(lambda: "ClientConnectorCertificateError" in careful.log.read_text())
    assert receiver.got == []
    assert careful.stop() == 0
    trusting = start("--webhook-url", receiver.url, "--webhook-ca-insecure")
    trusting.paid()
    wait_for(lambda: receiver.events(COMPLETED))


BAD_URL, BAD_TYPES = {"url": "http://shop.example/"}, {"url": "https://shop.example/", "event_types": [1]}


@pytest.mark.parametrize("body", [{}, [], BAD_URL, BAD_TYPES])
def test_registrations_are_checked(paypal: Simulator, body: Any) -> None:
    assert issue(paypal.call("POST", WEBHOOKS, body)) == (400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX")

"""Who gets in, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from .conftest import CLIENT_ID, SECRET, Simulator, issue

TOKEN = "/v1/oauth2/token"
GRANT = {"grant_type": "client_credentials"}


def test_a_token_opens_the_api(paypal: Simulator) -> None:
    answer = paypal.client.post(TOKEN, auth=(CLIENT_ID, SECRET), data=GRANT)
    told = answer.json()
    assert (answer.status_code, told["token_type"], told["expires_in"]) == (200, "Bearer", 32400)
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert paypal.client.get("/v2/checkout/orders/NONE", headers=headers).status_code == 404


@pytest.mark.parametrize("auth", [(CLIENT_ID, "wrong"), ("wrong", SECRET), (CLIENT_ID, ""), None])
def test_wrong_credentials_are_refused(paypal: Simulator, auth: tuple[str, str] | None) -> None:
    answer = paypal.client.post(TOKEN, auth=auth, data=GRANT)
    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_client", "error_description": "Client Authentication failed"}


@pytest.mark.parametrize("header", ["Basic ???", "Basic 4p", "Basic", "Bearer x", "Basic \u00fc"])
def test_broken_authorization_is_refused(paypal: Simulator, header: str) -> None:
    answer = paypal.client.post(TOKEN, headers={"Authorization": header.encode()}, data=GRANT)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_another_grant_is_refused(paypal: Simulator) -> None:
    answer = paypal.client.post(TOKEN, auth=(CLIENT_ID, SECRET), data={"grant_type": "password"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_no_token_and_a_strange_token(paypal: Simulator) -> None:
    assert issue(paypal.client.get("/v2/checkout/orders/NONE")) == (401, "AUTHENTICATION_FAILURE", "")
    answer = paypal.client.get("/v2/checkout/orders/NONE", headers={"Authorization": "Bearer A21AAstrange"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_a_token_ends(start: Callable[..., Simulator]) -> None:
    short = start("--token-lifetime-s", "1")

    def read() -> httpx.Response:
        return short.call("GET", "/v2/checkout/orders/NONE")

    assert read().status_code == 404
    time.sleep(1.1)
    assert read().status_code == 401
    short.login()
    assert read().status_code == 404

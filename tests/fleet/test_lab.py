"""A whole fleet, as its user meets it: a paid order, nothing left to do, and every error named."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.contract import Contract
from tests.fleet.conftest import PAYMENT_INTERVAL_S, STACK, inside, till
from tests.fleet.database import well_told
from tests.fleet.faults import paused
from till.checks import purchase
from till.observe import probe
from till.paths import CHECKOUT, STATE, VENV_BIN, lock_file
from till.public_dns import lookup

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("unwatched"), pytest.mark.timeout(1800)]
SIMULATOR_PORT = 8443


@pytest.fixture(scope="module")
def shop(lab: Contract) -> Iterator[probe.Site]:
    trust = probe.public_trust(lab)
    with probe.Site(lab.names.shop, lookup.resolve(lab, lab.names.shop)[0], trust) as site:
        yield site


class Buyer:
    """A user with a session of its own."""

    def __init__(self, lab: Contract, shop: probe.Site) -> None:
        self.lab, self.shop = lab, shop
        self.cookie = {"Cookie": f"till_session={uuid.uuid4().hex}"}

    def create(self, key: str, quantity: int = 3) -> httpx.Response:
        return self.shop.ask(
            "POST",
            "/api/payments/paypal/create-order",
            headers={**self.cookie, "Idempotency-Key": key},
            json={
                "items": [{"sku": "dates-1kg", "quantity": quantity}],
                "customer": {"name": "ليلى O'Neill-Ødegård", "email": "layla@shop.example"},
                "locale": "ar",
            },
        )

    def capture(self, order_id: str) -> httpx.Response:
        return self.shop.ask(
            "POST", "/api/payments/paypal/capture-order", headers=self.cookie, json={"order_id": order_id}
        )

    def simulator(self, method: str, path: str, body: Any = None) -> httpx.Response:
        outside = self.lab.outside
        assert outside is not None
        with httpx.Client(verify=probe.internal_trust(self.lab), timeout=15) as client:
            return client.request(
                method,
                f"https://{outside.host.address}:{SIMULATOR_PORT}{path}",
                headers={"Host": outside.paypal_name},
                extensions={"sni_hostname": outside.paypal_name},
                json=body,
            )

    def approve(self, order_id: str) -> None:
        assert self.simulator("POST", "/_simulator/approve", {"order_id": order_id}).status_code == 200

    def rows(self, field: str, value: str) -> list[dict[str, Any]]:
        """Orders in Directus."""
        with probe.Site(self.lab.names.admin, self.shop.address, probe.public_trust(self.lab)) as admin:
            answer = admin.ask(
                "GET",
                f"/items/orders?fields=*,items.*,customer_id.email&filter[{field}][_eq]={value}",
                headers={"Authorization": f"Bearer {self.lab.secrets['directus_api_token'].get_secret_value()}"},
            )
        return list(answer.json()["data"])


@pytest.fixture
def buyer(lab: Contract, shop: probe.Site) -> Buyer:
    return Buyer(lab, shop)


def test_smoke_buys_and_tells(lab: Contract) -> None:
    code, told, _ = till("smoke", STACK)
    assert code == 0
    assert told["ok"] is True
    assert told["payment_status"] == "completed"
    assert told["version"] == "v1.0.0-paypal"
    assert {"order_id", "duration_s", "stack", "started_at"} <= set(told)


def test_status_tells_hosts_and_urls(lab: Contract) -> None:
    told = well_told()
    assert [host["name"] for host in told["hosts"]] == ["alpha", "bravo", "ops"]
    assert set(told["hosts"][0]) >= {"name", "address", "port", "user", "site", "roles"}
    assert {"shop", "admin", "api"} <= set(told["urls"])


def test_an_order_is_stored_before_it_is_acknowledged_and_once(buyer: Buyer) -> None:
    key = str(uuid.uuid4())
    created = buyer.create(key).json()
    assert created["total_omr"] == "12.345"
    assert created["charge"] == {"currency": "USD", "amount": "32.10"}
    time.sleep(PAYMENT_INTERVAL_S)
    assert buyer.create(key).json()["order_id"] == created["order_id"]
    time.sleep(PAYMENT_INTERVAL_S)
    assert buyer.create(key, quantity=1).status_code == 409
    assert buyer.capture(created["order_id"]).status_code == 409
    assert buyer.rows("paypal_order_id", created["order_id"]) == []
    buyer.approve(created["order_id"])
    time.sleep(PAYMENT_INTERVAL_S)
    paid = buyer.capture(created["order_id"])
    assert paid.status_code == 200, paid.text
    time.sleep(PAYMENT_INTERVAL_S)
    again = buyer.capture(created["order_id"])
    assert again.status_code == 200
    assert again.json()["transaction_id"] == paid.json()["transaction_id"]
    (row,) = buyer.rows("paypal_order_id", created["order_id"])
    assert row["payment_intent_id"] == paid.json()["transaction_id"]
    assert (row["total_omr"], row["charge_amount"], row["charge_currency"]) == ("12.345", "32.10", "USD")
    assert row["customer_id"]["email"] == "layla@shop.example"
    assert [(item["sku"], item["quantity"], item["line_total_omr"]) for item in row["items"]] == [
        ("dates-1kg", 3, "12.345")
    ]


def test_a_declined_payment_leaves_no_order(buyer: Buyer) -> None:
    created = buyer.create(str(uuid.uuid4())).json()
    buyer.approve(created["order_id"])
    fault = {"path": f"{created['order_id']}/capture", "kind": "decline", "count": 1}
    assert buyer.simulator("POST", "/_simulator/faults", fault).status_code == 201
    declined = buyer.capture(created["order_id"])
    assert declined.status_code == 422
    assert declined.json()["payment_status"] == "declined"
    assert buyer.rows("paypal_order_id", created["order_id"]) == []


def test_a_lost_browser_is_made_good_by_the_webhook(buyer: Buyer) -> None:
    """PayPal captures, the shop's answer is lost: the signed webhook completes the order."""
    created = buyer.create(str(uuid.uuid4())).json()
    buyer.approve(created["order_id"])
    token = buyer.lab.secrets["paypal_client_secret"].get_secret_value()
    outside = buyer.lab.outside
    assert outside is not None
    with httpx.Client(verify=probe.internal_trust(buyer.lab), timeout=15) as client:
        base, sni = f"https://{outside.host.address}:{SIMULATOR_PORT}", {"sni_hostname": outside.paypal_name}
        access = client.post(
            f"{base}/v1/oauth2/token", auth=(buyer.lab.paypal.client_id, token),
            data={"grant_type": "client_credentials"}, extensions=sni,
        ).json()["access_token"]  # fmt: skip
        headers = {"Authorization": f"Bearer {access}"}
        url = f"{base}/v2/checkout/orders/{created['order_id']}/capture"
        assert client.post(url, headers=headers, json={}, extensions=sni).status_code == 201
    deadline = time.monotonic() + 30
    while not (rows := buyer.rows("paypal_order_id", created["order_id"])):
        assert time.monotonic() < deadline, "the webhook did not complete the order"
        time.sleep(0.5)
    assert rows[0]["payment_status"] == "completed"


def test_an_unsigned_webhook_is_refused(shop: probe.Site, lab: Contract) -> None:
    forged = {"event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "X"}}
    assert shop.ask("POST", "/api/payments/paypal/webhook", json=forged).status_code == 400


@contextmanager
def locked() -> Iterator[None]:
    """A live holder of the stack's lock, in a process of its own."""
    program = (
        "import sys; from till import paths; from till.changes import local_lock\n"
        f"with local_lock.hold_local_lock(paths.lock_file({STACK!r}), 'deploy'):\n"
        " print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [str(VENV_BIN / "python"), "-c", program],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        holder.kill()
        holder.wait()


def test_a_second_change_is_refused_and_told_who_is_first(lab: Contract) -> None:
    with locked():
        pid = json.loads(lock_file(STACK).read_text())["pid"]
        code, told, _ = till("deploy", STACK, "v1.0.0-paypal")
    assert code == 5
    assert str(pid) in told["error"]
    # The holder was killed, so nothing is left to wait for.
    assert till("provision", STACK, "--tags", "resolver")[0] == 0


@pytest.mark.matrix
def test_a_host_that_is_away_is_named(lab: Contract) -> None:
    with paused("bravo"):
        code, told, _ = till("provision", STACK, "--tags", "baseline")
    assert code == 4
    assert "bravo" in told["error"]
    assert told["next"]


def test_wrong_passphrase_is_named(lab: Contract, tmp_path: Path) -> None:
    wrong = tmp_path / "passphrase"
    wrong.write_text("not this one")
    done = subprocess.run(
        [str(VENV_BIN / "till"), "status", STACK, "--json"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PULUMI_CONFIG_PASSPHRASE_FILE": str(wrong)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "passphrase" in json.loads(done.stdout)["error"]


@pytest.fixture
def broken_source(tmp_path: Path) -> Path:
    """An app of a few lines that shares nothing with the storefront."""
    source = tmp_path / "app"
    source.mkdir()
    (source / "app.yml").write_text(
        "name: sample\nbuild: ['mkdir out', 'cp server.py out/']\nartefact: out\n"
        "start: python3 server.py\nhealth_path: /well\nversion_path: /well\n"
    )
    (source / "server.py").write_text("raise SystemExit('cannot start')\n")
    return source


def serves(lab: Contract, version: str) -> bool:
    return set(probe.served_versions(lab, probe.public_trust(lab)).values()) == {version}


def test_a_build_that_fails_releases_nothing(lab: Contract, broken_source: Path) -> None:
    descriptor = broken_source / "app.yml"
    descriptor.write_text(descriptor.read_text().replace("'mkdir out'", "'echo no compiler here; exit 9'"))
    code, told, _ = till("release", "build", STACK, "--version", "v9.0.1-broken", "--source", str(broken_source))
    assert code == 3
    assert "no compiler here" in told["error"]
    assert not (STATE / "releases" / STACK / "v9.0.1-broken").exists()


def test_a_release_that_does_not_start_leaves_the_old_one_serving(lab: Contract, broken_source: Path) -> None:
    version = f"v9.1.{time.time_ns() % 10**9}-broken"
    assert till("release", "build", STACK, "--version", version, "--source", str(broken_source))[0] == 0
    code, told, _ = till("deploy", STACK, version)
    assert code == 3
    assert "cannot start" in told["error"]
    assert serves(lab, "v1.0.0-paypal")


@pytest.mark.matrix
def test_a_full_disk_during_upload_leaves_the_old_release_serving(lab: Contract) -> None:
    version = f"v1.2.{time.time_ns() % 10**9}-paypal"
    assert till("release", "build", STACK, "--version", version)[0] == 0
    inside("bravo", "mount -t tmpfs -o size=1m tmpfs /srv/till/incoming")
    try:
        code, told, _ = till("deploy", STACK, version)
    finally:
        inside("bravo", "umount /srv/till/incoming")
    assert (code, told["verdict"]) == (3, "fail"), told
    assert "bravo" in told["error"]
    assert any(word in told["error"].lower() for word in ("space", "free")), told["error"]
    assert serves(lab, "v1.0.0-paypal")
    assert till("deploy", STACK, "v1.0.0-paypal")[0] == 0


def test_no_secret_is_in_logs_journal_or_state(lab: Contract) -> None:
    """After all of the above, failures included: known values stand nowhere in clear."""
    secrets = {
        name: value.get_secret_value() for name, value in lab.secrets.items() if len(value.get_secret_value()) >= 8
    }
    secrets |= {
        f"key of {name}": one.private_key_pem.get_secret_value().splitlines()[1]
        for name, one in lab.host_certificates.items()
    }
    secrets["key of releases"] = lab.release_key.private_key_pem.get_secret_value().splitlines()[1]
    assert len(secrets) > 15
    searched = 0
    for folder in (STATE / "logs", STATE / "journal", STATE / "locks", STATE / "pulumi", STATE / "releases"):
        for path in folder.rglob("*"):
            if path.is_file():
                searched += 1
                content = path.read_bytes()
                found = [name for name, value in secrets.items() if value.encode() in content]
                assert (str(path), found) == (str(path), [])
    assert searched > 10


def test_purchases_still_work_at_the_end(lab: Contract) -> None:
    from till.progress import Progress

    assert purchase.run(lab, Progress(quiet=True))["payment_status"] == "completed"

"""An S3 server of ours on the host that plays the world outside: versitygw, with that host's own certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from infra.contract import Contract, Offsite, RotatedSecret
from tests.fleet.conftest import container, inside
from tools import object_store

HOST = "outside"
PORT = 9443
BUCKET = "till-backups"
FOLDER = "/var/lib/till-object-store"
UNIT = "till-object-store"
ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
# It stops by itself, whatever becomes of the test.
LIFETIME_S = 3600


def with_offsite(lab: Contract) -> Contract:
    """The lab's contract as it would be with till:backupOffsite set."""
    place = Offsite(
        endpoint=HOST, port=PORT, bucket=BUCKET, region="us-east-1", path="/till", uri_style="path",
        ca_pem=lab.internal_ca_pem,
    )  # fmt: skip
    given = {"backup_offsite_access_key": ACCESS_KEY, "backup_offsite_secret_key": SECRET_KEY}
    keys = {name: RotatedSecret(current=SecretStr(value)) for name, value in given.items()}
    return lab.model_copy(update={"backup_offsite": place, "secrets": {**lab.secrets, **keys}})


@contextmanager
def running() -> Iterator[None]:
    """The server with an empty bucket; nothing of it stays."""
    subprocess.run(
        ["docker", "cp", "--quiet", str(object_store.program()), f"{container(HOST)}:/usr/local/bin/versitygw"],
        check=True, capture_output=True,
    )  # fmt: skip
    inside(HOST, f"mkdir -p {FOLDER}/{BUCKET}; nft insert rule inet till input tcp dport {PORT} accept")
    try:
        start()
        yield
    finally:
        stop()
        inside(HOST, f"rm -rf {FOLDER} /usr/local/bin/versitygw; systemctl reload nftables.service")


def start() -> None:
    keys = f"--setenv=ROOT_ACCESS_KEY={ACCESS_KEY} --setenv=ROOT_SECRET_KEY={SECRET_KEY}"
    tls = "--cert /etc/till/pki/host.pem --key /etc/till/pki/host.key"
    inside(
        HOST,
        f"systemd-run --quiet --collect --unit={UNIT} --property=RuntimeMaxSec={LIFETIME_S} {keys}"
        f" /usr/local/bin/versitygw --port :{PORT} {tls} posix {FOLDER};"
        f" for _ in $(seq 50); do ss -ltn | grep -q :{PORT} && exit 0; sleep 0.2; done; exit 1",
    )


def stop() -> None:
    inside(HOST, f"systemctl stop {UNIT}.service 2>/dev/null || true")


def files() -> list[str]:
    """What lies in the bucket."""
    return inside(HOST, f"find {FOLDER}/{BUCKET} -type f -size +0").split()

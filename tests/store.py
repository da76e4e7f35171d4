"""A consensus store of three members with certificates, and the program that holds the stack's lock in it."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from till.paths import CHECKOUT
from tools.machine import found

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
START_DEADLINE_S = 30
# What the program finds on a host, found elsewhere.
PROGRAM = """
import pathlib, sys
sys.path.insert(0, {checkout!r})
from till_host import etcd
from till_host.change_lock import program
etcd.PKI, etcd.PORT, program.SETTINGS = {pki!r}, {port}, pathlib.Path({settings!r})
sys.exit(program.main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Store:
    """Members by their addresses, all listening on one port."""

    folder: Path
    port: int
    members: dict[str, subprocess.Popen[bytes]]

    @contextmanager
    def silent(self, *addresses: str) -> Iterator[None]:
        """Members that answer nothing for the time of a block."""
        for address in addresses:
            self.members[address].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for address in addresses:
                self.members[address].send_signal(signal.SIGCONT)
            self.wait()

    def program(self, *arguments: str) -> list[str]:
        """The command line of `lease`, as on a host."""
        settings = self.folder / "lease.json"
        settings.write_text(json.dumps({"etcd": list(ADDRESSES), "etcd_timeout_s": 1}))
        text = PROGRAM.format(checkout=str(CHECKOUT), pki=str(self.folder), port=self.port, settings=str(settings))
        return [sys.executable, "-c", text, *arguments]

    def show(self) -> dict[str, Any] | None:
        """Who holds the lock."""
        done = subprocess.run(self.program("show"), capture_output=True, text=True, timeout=30, check=True)
        holder: dict[str, Any] | None = json.loads(done.stdout)["holder"]
        return holder

    def wait(self, while_held: bool = False) -> None:
        """Until a majority answers (and, asked for, nobody holds the lock)."""
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            done = subprocess.run(self.program("show"), capture_output=True, text=True, timeout=30, check=False)
            if done.returncode == 0 and not (while_held and json.loads(done.stdout)["holder"]):
                return
            assert time.monotonic() < deadline, done
            time.sleep(0.2)


@contextmanager
def running() -> Iterator[Store]:
    """Three members of a fresh store; gone afterwards. In memory: a busy disk would cost it its leader."""
    with tempfile.TemporaryDirectory(prefix="till-store-", dir="/dev/shm") as name, ExitStack() as ended:
        folder = Path(name)
        _certificates(folder)
        client, peer = _free_port(), _free_port()
        members = {}
        for address in ADDRESSES:
            members[address] = subprocess.Popen(_member(folder, address, client, peer), env=_environment())
            ended.callback(members[address].wait)
            ended.callback(members[address].kill)
        store = Store(folder, client, members)
        store.wait()
        yield store


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("ETCD")}


def _member(folder: Path, address: str, client: int, peer: int) -> list[str]:
    program = found("etcd")
    assert program, "etcd is not here: run `tools/setup --tests`"
    files = {"cert-file": "host.pem", "key-file": "host.key", "trusted-ca-file": "ca.pem"}
    settings = {
        "name": address,
        "data-dir": folder / address,
        "listen-client-urls": f"https://{address}:{client}",
        "advertise-client-urls": f"https://{address}:{client}",
        "listen-peer-urls": f"http://{address}:{peer}",
        "initial-advertise-peer-urls": f"http://{address}:{peer}",
        "initial-cluster": ",".join(f"{one}=http://{one}:{peer}" for one in ADDRESSES),
        "client-cert-auth": "true",
        "logger": "zap",
        "log-outputs": folder / f"{address}.log",
        **{key: folder / file for key, file in files.items()},
    }
    return [str(program), *(f"--{key}={value}" for key, value in settings.items())]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _certificates(folder: Path) -> None:
    """One certificate for server and client, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.datetime.now(datetime.UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address(one)) for one in ADDRESSES]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=6))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    for file in ("ca.pem", "host.pem"):
        (folder / file).write_bytes(pem)
    kind = serialization.PrivateFormat.PKCS8
    (folder / "host.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))

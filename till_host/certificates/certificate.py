"""The public certificate of this edge host.

    certificate stored      is the installed file good for some time, for all names, from the CA in use?
    certificate served [S]  is what port 443 serves to each name so, and is it the installed one? Where nothing answers,
                            or HAProxy serves the one before, asked again for so many seconds
    certificate renew       order, install and reload HAProxy where "stored" says no; says "issued" or "kept"

Exit codes: 0 good, 1 an order failed or nothing answers, 2 bad usage, 3 not good. Prints one sentence.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from till_host import files

SETTINGS = Path("/etc/till/credentials/certificate.json")
INSTALLED = Path("/etc/till/certificates/public.pem")
LINEAGE = Path("/etc/letsencrypt/live/till")
ACCOUNTS = Path("/etc/letsencrypt/accounts")
HOOK = "/opt/till-host/current/bin/acme-dns"
ADDRESS = ("127.0.0.1", 443)
ASKED_EVERY_S = 5


class NotGood(Exception):
    """The certificate must be renewed; the text says why."""


class NotYet(NotGood):
    """What a reload that is under way still serves."""


def roots(settings: dict[str, Any]) -> str | None:
    """PEM of the CA in use where it tells its root, None where the machine's roots hold."""
    if not settings["root_url"]:
        return None
    context = ssl.create_default_context(cafile=settings["directory_ca_file"] or None)
    with urllib.request.urlopen(settings["root_url"], timeout=10, context=context) as answer:
        return str(answer.read().decode())


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/usr/bin/openssl", *arguments], capture_output=True, text=True, timeout=20, check=False)


def judge(pem: Path, settings: dict[str, Any], root: str | None) -> None:
    """Raises NotGood for a certificate (first in the file, its chain after it) that should be replaced."""
    for name in settings["names"]:
        if "does match certificate" not in openssl("x509", "-in", str(pem), "-noout", "-checkhost", name).stdout:
            raise NotGood(f"the certificate is not for {name}")
    days = settings["renew_before_days"]
    if openssl("x509", "-in", str(pem), "-noout", "-checkend", str(days * 86400)).returncode != 0:
        raise NotGood(f"the certificate ends within {days} days")
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as trusted:
        trust = []
        if root is not None:
            trusted.write(root)
            trusted.flush()
            trust = ["-no-CAfile", "-no-CApath", "-CAfile", trusted.name]
        said = openssl("verify", *trust, "-untrusted", str(pem), str(pem))
    if said.returncode != 0:
        why = (said.stderr or said.stdout).strip().splitlines()[-1]
        raise NotGood(f"the certificate does not chain to the CA in use: {why}")


def stored(settings: dict[str, Any]) -> str:
    if not INSTALLED.exists():
        raise NotGood("there is no certificate yet")
    judge(INSTALLED, settings, roots(settings))
    return "the installed certificate is good"


def served(settings: dict[str, Any]) -> str:
    context = ssl.create_default_context(cadata=roots(settings))
    end = "-----END CERTIFICATE-----\n"
    installed = ssl.PEM_cert_to_DER_cert(INSTALLED.read_text().split(end)[0] + end)
    for name in settings["names"]:
        try:
            with (
                socket.create_connection(ADDRESS, timeout=5) as raw,
                context.wrap_socket(raw, server_hostname=name) as tls,
            ):
                given = tls.getpeercert(binary_form=True) or b""
        except ssl.SSLCertVerificationError as reason:
            raise NotGood(f"what is served for {name} is not good: {reason.verify_message}") from None
        if given != installed:
            raise NotYet(f"what is served for {name} is not the installed certificate: systemctl reload haproxy")
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
            pem.write(ssl.DER_cert_to_PEM_cert(given))
            pem.flush()
            days = settings["renew_before_days"]
            if openssl("x509", "-in", pem.name, "-noout", "-checkend", str(days * 86400)).returncode != 0:
                raise NotGood(f"what is served for {name} ends within {days} days")
    return f"a good certificate is served for {', '.join(settings['names'])}"


def order(settings: dict[str, Any]) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    if settings["directory_ca_file"]:
        environment["REQUESTS_CA_BUNDLE"] = settings["directory_ca_file"]
    if settings["root_url"]:
        # A CA that makes new roots has forgotten its accounts too.
        shutil.rmtree(ACCOUNTS, ignore_errors=True)
    names = [part for name in settings["names"] for part in ("-d", name)]
    said = subprocess.run(
        [
            *("/usr/bin/certbot", "certonly", "--non-interactive", "--agree-tos", "--no-eff-email"),
            *("--email", settings["email"], "--server", settings["directory_url"], "--cert-name", "till"),
            *("--key-type", "ecdsa", "--elliptic-curve", "secp256r1", "--force-renewal", "--renew-with-new-domains"),
            *("--manual", "--preferred-challenges", "dns"),
            *("--manual-auth-hook", f"{HOOK} add", "--manual-cleanup-hook", f"{HOOK} remove"),
            *names,
        ],
        capture_output=True,
        text=True,
        timeout=settings["issue_deadline_s"],
        env=environment,
        check=False,
    )
    if said.returncode != 0:
        why = (said.stdout + said.stderr).strip()[-1500:]
        raise RuntimeError(f"the order at {settings['directory_url']} failed: {why}")


def install() -> None:
    files.replace(INSTALLED, (LINEAGE / "fullchain.pem").read_text() + (LINEAGE / "privkey.pem").read_text(), 0o600)


def reload_edge() -> None:
    """HAProxy may not be there yet: the first certificate comes before it."""
    if subprocess.run(["/usr/bin/systemctl", "is-active", "--quiet", "haproxy.service"], check=False).returncode == 0:
        subprocess.run(["/usr/bin/systemctl", "reload", "haproxy.service"], check=True, timeout=60)


def renew(settings: dict[str, Any]) -> str:
    with contextlib.closing(Path("/run/till-certificate.lock").open("w")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return f"kept: {stored(settings)}"
        except NotGood as reason:
            why = str(reason)
        order(settings)
        install()
        reload_edge()
        return f"issued: {why}; {stored(settings)}"


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    verbs = {"stored": stored, "served": served, "renew": renew}
    verb, patience = (arguments or [""])[0], arguments[1:]
    if verb not in verbs or len(patience) > (verb == "served") or not all(one.isdigit() for one in patience):
        print(__doc__, file=sys.stderr)
        return 2
    deadline = time.monotonic() + sum(map(int, patience))
    while True:
        try:
            print(verbs[verb](json.loads(SETTINGS.read_text())))
        except (NotGood, RuntimeError, OSError, subprocess.SubprocessError) as reason:
            final = isinstance(reason, NotGood) and not isinstance(reason, NotYet)
            if final or time.monotonic() >= deadline:
                print(f"certificate: {reason}", file=sys.stderr)
                return 3 if isinstance(reason, NotGood) else 1
            time.sleep(ASKED_EVERY_S)
        else:
            return 0

"""Command line of the simulator."""

from __future__ import annotations

import argparse
import logging
import ssl
import sys
from pathlib import Path

from aiohttp import web

from paypal_simulator.app import application
from paypal_simulator.delivery import Road
from paypal_simulator.state import TOKEN_LIFETIME_S, Settings

SHUTDOWN_TIMEOUT_S = 1.0


def _pauses(text: str) -> tuple[float, ...]:
    pauses_s = tuple(float(part) for part in text.split(","))
    if any(not 0 <= pause < 86400 for pause in pauses_s):
        raise ValueError(text)
    return pauses_s


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="paypal_simulator", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8443", help="address:port")
    parser.add_argument("--cert", required=True, type=Path)
    parser.add_argument("--key", required=True, type=Path)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret-file", required=True, type=Path)
    parser.add_argument("--state", required=True, type=Path, help="folder of the database and the signing key")
    parser.add_argument("--public-url", required=True, help="under which buyers and the shop reach it")
    parser.add_argument("--token-lifetime-s", type=float, default=TOKEN_LIFETIME_S)
    parser.add_argument("--webhook-url", default="", help="a receiver of every event")
    parser.add_argument("--webhook-id", default="WH-LAB")
    parser.add_argument(
        "--webhook-pauses-s", type=_pauses, default=Road.pauses_s, help="before each try, like 0,1,3,10,30"
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--webhook-ca", type=Path, help="deliver only to certificates of this CA")
    trust.add_argument(
        "--webhook-ca-insecure",
        action="store_true",
        help="deliver webhooks without verifying the shop's certificate (a lab's test CA)",
    )
    return parser.parse_args()


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 when a file that it needs can't be used."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    host, _, port = arguments.listen.rpartition(":")
    trust: ssl.SSLContext | bool = not arguments.webhook_ca_insecure
    try:
        if arguments.webhook_ca:
            trust = ssl.create_default_context(cafile=arguments.webhook_ca)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_cert_chain(arguments.cert, arguments.key)
        secret = arguments.client_secret_file.read_text().strip()
        if not secret:
            raise ValueError(f"{arguments.client_secret_file} is empty")
        app = application(
            Settings(
                client_id=arguments.client_id,
                client_secret=secret,
                state=arguments.state,
                public_url=arguments.public_url.rstrip("/"),
                webhook_url=arguments.webhook_url,
                webhook_id=arguments.webhook_id,
                webhook_trust=trust,
                webhook_pauses_s=arguments.webhook_pauses_s,
                token_lifetime_s=arguments.token_lifetime_s,
            )
        )
    except (OSError, ValueError) as reason:
        print(f"paypal_simulator: {reason}", file=sys.stderr)
        return 2
    web.run_app(
        app,
        host=host.strip("[]"),
        port=int(port),
        ssl_context=tls,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        print=None,
        access_log=None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Command line of the simulator."""

from __future__ import annotations

import argparse
import logging
import ssl
import sys
from pathlib import Path

from aiohttp import web

from paypal_simulator.app import Settings, Simulator


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="paypal_simulator", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8443", help="address:port")
    parser.add_argument("--cert", required=True, type=Path)
    parser.add_argument("--key", required=True, type=Path)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret-file", required=True, type=Path)
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--public-url", required=True)
    parser.add_argument("--webhook-url", default="")
    parser.add_argument("--webhook-id", default="WH-LAB")
    parser.add_argument(
        "--webhook-ca-insecure",
        action="store_true",
        help="deliver webhooks without verifying the shop's certificate (a lab's test CA)",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    settings = Settings(
        client_id=arguments.client_id,
        client_secret=arguments.client_secret_file.read_text().strip(),
        state=arguments.state,
        public_url=arguments.public_url.rstrip("/"),
        webhook_url=arguments.webhook_url,
        webhook_id=arguments.webhook_id,
        webhook_trust=not arguments.webhook_ca_insecure,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(arguments.cert, arguments.key)
    host, _, port = arguments.listen.rpartition(":")
    web.run_app(
        Simulator(settings).application(), host=host, port=int(port), ssl_context=tls, print=None, access_log=None
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""nginx as the edge of one host, for the time of a block: what leading traffic to the other slot by its reload costs.

It stands on a port of its own beside Till's edge, with the same certificate, in front of the same slots. Its package is
installed for the block and removed after it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from till.errors import TillError
from till.hosts.session import Session
from till.policy import host_policy

PORT = 8444
FOLDER = "/run/till-nginx"
BLUE, GREEN = host_policy()["app_slot_ports"].values()
INSTALL_TIMEOUT_S = 180
SETTINGS = f"""
worker_processes auto;
pid {FOLDER}/pid;
error_log {FOLDER}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    upstream shop {{ server 127.0.0.1:{BLUE}; }}
    server {{
        listen {PORT} ssl;
        ssl_certificate /etc/till/certificates/public.pem;
        ssl_certificate_key /etc/till/certificates/public.pem;
        location / {{
            proxy_pass http://shop;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""
# Its own unit would want the ports of Till's edge.
BEGIN = f"""set -e
systemctl mask --runtime --quiet nginx.service
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends nginx-light >/dev/null
mkdir -p {FOLDER}
cat >{FOLDER}/nginx.conf <<'SETTINGS'
{SETTINGS}
SETTINGS
nft insert rule inet till input tcp dport {PORT} accept
nginx -c {FOLDER}/nginx.conf
"""
SWITCH = (
    f"sed -i 's/:{BLUE};/:other;/; s/:{GREEN};/:{BLUE};/; s/:other;/:{GREEN};/' {FOLDER}/nginx.conf"
    f" && nginx -c {FOLDER}/nginx.conf -s reload"
)
END = f"""nginx -c {FOLDER}/nginx.conf -s stop
nft -f /etc/nftables.conf
DEBIAN_FRONTEND=noninteractive apt-get purge -qq --auto-remove nginx-light >/dev/null
systemctl unmask --runtime --quiet nginx.service
rm -rf {FOLDER}
"""


@contextmanager
def beside(session: Session, host: str) -> Iterator[str]:
    """The command that leads its traffic to the other slot. Raises TillError where it can't be installed."""
    done = session.ssh(host, shlex.join(["sh", "-c", BEGIN]), timeout_s=INSTALL_TIMEOUT_S)
    try:
        if done.returncode:
            raise TillError(f"nginx on {host}: {done.stderr.strip()[-300:]}")
        yield shlex.join(["sh", "-c", SWITCH])
    finally:
        session.ssh(host, shlex.join(["sh", "-c", END]), timeout_s=INSTALL_TIMEOUT_S)

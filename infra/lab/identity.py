"""Names of a lab: unique for each checkout and stack on this machine, and the same at every run."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
RANGE = ipaddress.ip_network("198.18.0.0/15")  # RFC 2544, see docs/adr/0003
LABEL_LAB = "till.lab"
LABEL_STACK = "till.stack"
LABEL_SPEC = "till.spec"
# The stack of hosts that Pulumi did not make.
RENTED = "rented"
# What a host of this name gets in the lab's /24; others follow from FIRST_FREE_ADDRESS on.
ADDRESSES = {"alpha": 11, "bravo": 12, "ops": 13, "outside": 20}
FIRST_FREE_ADDRESS = 30
FIRST_PORT, PORTS = 20_000, 10_000


def lab_id(stack: str, checkout: Path = CHECKOUT) -> str:
    """Eight hexadecimal digits from the checkout's real path and the stack's name."""
    return hashlib.sha256(f"{checkout.resolve()}:{stack}".encode()).hexdigest()[:8]


def rented_id(name: str, checkout: Path = CHECKOUT) -> str:
    """As lab_id, of what is rented under a name."""
    return lab_id(f"{RENTED}:{name}", checkout)


def rented_folder(name: str, checkout: Path = CHECKOUT) -> Path:
    """Where the key of what is rented under a name lies."""
    return checkout / ".till" / RENTED / name


def network_name(lab: str) -> str:
    return f"till-{lab}"


def container_name(lab: str, host: str) -> str:
    return f"till-{lab}-{host}"


def subnets(lab: str) -> Iterator[ipaddress.IPv4Network]:
    """Every /24 of the range once, beginning at the lab's own place."""
    every = list(RANGE.subnets(new_prefix=24))
    start = int(lab, 16) % len(every)
    return (subnet for subnet in every[start:] + every[:start] if isinstance(subnet, ipaddress.IPv4Network))


def ports(lab: str) -> Iterator[int]:
    """Every candidate for the lab's HTTPS port once, beginning at the lab's own place."""
    start = int(lab, 16) % PORTS
    return (FIRST_PORT + (start + step) % PORTS for step in range(PORTS))


def address(cidr: str, host: str, hosts: Iterable[str]) -> str:
    """The fixed address of `host` in the lab's /24; `hosts` are all names of the lab, in the stack file's order."""
    others = [name for name in hosts if name not in ADDRESSES]
    place = ADDRESSES[host] if host in ADDRESSES else FIRST_FREE_ADDRESS + others.index(host)
    return str(ipaddress.ip_network(cidr)[place])

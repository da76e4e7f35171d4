"""Questions to the outside of a stack: its nameservers, its public names. Each has a deadline."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from infra.contract import Contract, Host, Role
from till.errors import TillError
from till.policy import thresholds
from till.public_dns import authority as authoritative
from till.public_dns.authority import Nameserver
from till.trust import trusting

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")
Asked = TypeVar("Asked", Host, Nameserver)
VERSION_PATH = "/api/version"
PEBBLE_ROOT_URL = "https://{address}:15000/roots/0"


def _told(server: Nameserver, name: str, kind: str) -> list[Any]:
    """Records of a name and type that one nameserver tells; raises OSError or dns.exception.DNSException."""
    import dns.message
    import dns.query

    question = dns.message.make_query(name, kind)
    answer = dns.query.udp(question, server.address, timeout=thresholds()["dns"]["query_timeout_s"])
    return [record for rrset in answer.answer for record in rrset if record.rdtype == question.question[0].rdtype]


def resolve(contract: Contract, name: str) -> list[str]:
    """IPv4 addresses of a name, as the public zone's nameservers tell it (the first that answers)."""
    import dns.exception

    faults: list[str] = []
    for server in authoritative.of(contract):
        try:
            found = [str(record.address) for record in _told(server, name, "A")]
        except (OSError, dns.exception.DNSException) as reason:
            faults.append(f"{server.name}: {type(reason).__name__}")
            continue
        if found:
            return found
        faults.append(f"{server.name}: no address")
    raise TillError(
        f"{name} does not resolve ({'; '.join(faults) or 'no nameserver'})", f"till provision {contract.stack}"
    )


def nameservers(contract: Contract, name: str) -> dict[str, dict[str, Any]]:
    """By nameserver of the public zone: the sorted addresses of a name and, of own ones, its zone's serial; or a fault.

    A provider's serials are its own affair: they are not kept in step.
    """
    import dns.exception

    own = contract.dns_provider is None

    def one(server: Nameserver) -> dict[str, Any]:
        try:
            addresses = sorted(str(record.address) for kind in ("A", "AAAA") for record in _told(server, name, kind))
            serials = [int(record.serial) for record in _told(server, contract.names.zone, "SOA")] if own else []
        except (OSError, dns.exception.DNSException) as reason:
            return {"fault": f"does not answer: {type(reason).__name__}"}
        if not addresses or (own and not serials):
            return {"fault": f"has no {'zone ' + contract.names.zone if own and not serials else 'address of ' + name}"}
        return {"addresses": addresses, **({"serial": serials[0]} if own else {})}

    try:
        return at_once(one, authoritative.of(contract))
    except TillError as reason:
        return {contract.names.zone: {"fault": f"is not found: {reason.message}"}}


def internal_trust(contract: Contract) -> ssl.SSLContext:
    """Trust in the stack's internal CA alone."""
    return trusting(contract.internal_ca_pem)


def public_trust(contract: Contract) -> ssl.SSLContext:
    """Trust in whoever signs the stack's public names: a lab's test CA, else the machine's roots."""
    import httpx

    if contract.outside is None:
        return trusting()
    # The test CA makes a new root at every start and tells it on its management port.
    url = PEBBLE_ROOT_URL.format(address=contract.outside.host.address)
    try:
        with httpx.Client(verify=internal_trust(contract), timeout=10, trust_env=False) as client:
            root = client.get(url).raise_for_status().text
    except httpx.HTTPError as reason:
        raise TillError(
            f"the test CA does not tell its root ({url}): {reason}", f"till provision {contract.stack}"
        ) from None
    return trusting(root)


class Site:
    """A public name at one address: TLS is verified for the name, whatever the address.

    `cookie` goes with each request.
    """

    def __init__(
        self, name: str, address: str, trust: ssl.SSLContext, timeout_s: float | None = None, cookie: str = ""
    ) -> None:
        import httpx

        self.name, self.address, self.cookie = name, address, cookie
        self._client = httpx.Client(
            verify=trust,
            timeout=timeout_s or thresholds()["smoke"]["request_timeout_s"],
            follow_redirects=False,
            # A proxy of this machine has no road to a stack's addresses.
            trust_env=False,
        )

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, json: Any = None) -> httpx.Response:
        """One request; raises TillError when there was no answer."""
        import httpx

        cookies = "; ".join(filter(None, ((headers or {}).get("Cookie"), self.cookie)))
        try:
            return self._client.request(
                method,
                f"https://{self.address}{path}",
                headers={"Host": self.name, **(headers or {}), **({"Cookie": cookies} if cookies else {})},
                json=json,
                extensions={"sni_hostname": self.name},
            )
        except httpx.HTTPError as reason:
            raise TillError(
                f"{method} https://{self.name}{path} at {self.address}: {type(reason).__name__} {reason}",
                f"curl -vk --resolve {self.name}:443:{self.address} https://{self.name}/",
            ) from None


def served_certificate(name: str, address: str, trust: ssl.SSLContext, timeout_s: float = 5) -> dict[str, Any]:
    """The certificate that an address serves for a name, verified (as ssl.getpeercert)."""
    import socket

    with (
        socket.create_connection((address, 443), timeout=timeout_s) as raw,
        trust.wrap_socket(raw, server_hostname=name) as tls,
    ):
        return dict(tls.getpeercert() or {})


def _edges(contract: Contract, trust: ssl.SSLContext, path: str) -> dict[str, httpx.Response | None]:
    """Each edge's answer under the shop's name; None where there was none."""

    def one(host: Host) -> httpx.Response | None:
        try:
            with Site(contract.names.shop, host.address, trust, thresholds()["status"]["timeout_s"]) as site:
                return site.ask("GET", path)
        except TillError:
            return None

    return at_once(one, [host for host in contract.hosts if Role.EDGE in host.roles])


def served_versions(contract: Contract, trust: ssl.SSLContext, path: str = VERSION_PATH) -> dict[str, str | None]:
    """The release that each edge serves; None where there is none."""

    def told(answer: httpx.Response | None) -> str | None:
        try:
            return str(answer.json()["version"]) if answer is not None and answer.status_code == 200 else None
        except (ValueError, KeyError, TypeError):
            return None

    return {edge: told(answer) for edge, answer in _edges(contract, trust, path).items()}


def served_statuses(contract: Contract, trust: ssl.SSLContext, path: str) -> dict[str, int | None]:
    """The HTTP status that each edge answers with; None where there was no answer."""
    answers = _edges(contract, trust, path)
    return {edge: None if answer is None else answer.status_code for edge, answer in answers.items()}


def ssh(address: str, port: int, timeout_s: float) -> str:
    """Empty when an SSH server greets there, else why it was not reached."""
    import socket

    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            greeting = connection.recv(4)
    except OSError as reason:
        return str(reason)
    return "" if greeting == b"SSH-" else "what listens there is no SSH server"


def at_once(ask: Callable[[Asked], Answer], hosts: Iterable[Asked]) -> dict[str, Answer]:
    """One question to many at the same time; answers by the name of who was asked."""
    from concurrent.futures import ThreadPoolExecutor

    asked = list(hosts)
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        return dict(zip((host.name for host in asked), pool.map(ask, asked), strict=True))

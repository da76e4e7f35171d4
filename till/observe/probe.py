"""Questions to the public names of a stack. Each has a deadline."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from infra.contract import Contract, Host, Role
from till.errors import TillError
from till.fan_out import at_once
from till.policy import thresholds
from till.trust import trusting

if TYPE_CHECKING:
    import httpx

VERSION_PATH = "/api/version"
PEBBLE_ROOT_URL = "https://{address}:15000/roots/0"


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

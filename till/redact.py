"""Keep known secret values out of everything that is printed or kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote

from infra.contract import Contract

REDACTED = "[REDACTED]"
# A shorter value would redact words that only look alike.
SHORTEST_SECRET = 8


class Redactor:
    """Replaces secret values, also as JSON, URL-encoded or base64, by [REDACTED]."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings: set[str] = set()
        for secret in secrets:
            if len(secret) < SHORTEST_SECRET:
                continue
            spellings |= {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
            spellings.add(base64.b64encode(secret.encode()).decode())
            # A private key also shows line by line.
            spellings |= {line for line in secret.splitlines() if len(line) >= 32 and not line.startswith("-----")}
        self._spellings = sorted(spellings, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Redactor({len(self._spellings)} spellings)"

    def scrub(self, text: str) -> str:
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, REDACTED)
        return text


def of(contract: Contract) -> Redactor:
    """A redactor of everything secret in a contract."""
    values = [value for secret in contract.secrets.values() for value in secret.values()]
    if contract.platform.kind == "kubernetes":
        kubeconfig = contract.platform.kubeconfig.get_secret_value()
        # Its tokens and keys are known by themselves, too: messages show them without their lines.
        values += [kubeconfig, *(line.rpartition(": ")[2].strip("'\" ") for line in kubeconfig.splitlines())]
    values += [certificate.private_key_pem.get_secret_value() for certificate in contract.host_certificates.values()]
    values.append(contract.release_key.private_key_pem.get_secret_value())
    if contract.dns_provider is not None:
        values += [secret.get_secret_value() for secret in contract.dns_provider.credentials.values()]
    if contract.ssh_private_key is not None:
        values.append(contract.ssh_private_key.get_secret_value())
    return Redactor(values)

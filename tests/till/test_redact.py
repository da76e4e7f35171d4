"""Known secrets are found in every spelling that a log may have."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from tests.till.conftest import CANARY, contract_of, host
from till import redact
from till.hosts import inventory
from till.policy import host_policy, thresholds

KEY = "-----BEGIN KEY-----\n" + "A" * 40 + "\n" + "B" * 40 + "\n-----END KEY-----\n"


@pytest.mark.parametrize(
    "spelling", [CANARY, json.dumps(CANARY), quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode()]
)
def test_spellings_of_a_secret(spelling: str) -> None:
    redactor = redact.of(contract_of(host("alpha")))
    assert redactor.scrub(f"before {spelling} after").replace('"', "") == "before [REDACTED] after"


def test_lines_of_a_private_key() -> None:
    assert "AAAA" not in redact.Redactor([KEY]).scrub("x " + "A" * 40 + " y")


def test_an_ssh_key_of_the_contract_is_known() -> None:
    redactor = redact.of(contract_of(host("alpha"), ssh_private_key=KEY))
    assert "BBBB" not in redactor.scrub(KEY)


def test_the_key_that_signs_releases_is_known_and_reaches_no_host() -> None:
    contract = contract_of(host("alpha"))
    private = contract.release_key.private_key_pem.get_secret_value()
    assert private.splitlines()[1] not in redact.of(contract).scrub(private)
    told = json.dumps(inventory.build(contract, {}, host_policy(), thresholds()))
    assert private.splitlines()[1] not in told and "BEGIN PUBLIC KEY" in told


def test_a_rotated_secrets_value_of_before_is_known() -> None:
    pair = {"current": CANARY, "previous": "canary-of-before"}
    redactor = redact.of(contract_of(host("alpha"), secrets={"directus_secret": pair}))
    assert redactor.scrub(f"{CANARY} canary-of-before") == "[REDACTED] [REDACTED]"


def test_the_token_of_a_kubeconfig_is_known_without_its_line() -> None:
    kubeconfig = "users:\n- name: runner\n  user:\n    token: 'canary-cluster-token'\n"
    platform = {"kind": "kubernetes", "kubeconfig": kubeconfig, "namespace": "shop"}
    redactor = redact.of(contract_of(host("alpha"), platform=platform))
    assert redactor.scrub("Bearer canary-cluster-token") == "Bearer [REDACTED]"


def test_a_dns_providers_credentials_are_known_and_reach_no_host() -> None:
    kept = {"provider": "ddns", "options": {}, "credentials": {"auth_token": "canary-dns-token"}, "nameservers": []}
    contract = contract_of(host("alpha"), dns_provider=kept)
    assert redact.of(contract).scrub("at canary-dns-token") == "at [REDACTED]"
    assert "canary-dns-token" not in json.dumps(inventory.build(contract, {}, host_policy(), thresholds()))


def test_empty_and_short_values_redact_nothing() -> None:
    assert redact.Redactor(["", "no"]).scrub("nobody knows") == "nobody knows"


def test_its_own_words_hold_no_secret() -> None:
    assert CANARY not in repr(redact.of(contract_of(host("alpha"))))
    assert CANARY not in repr(contract_of(host("alpha")))

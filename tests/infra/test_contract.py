"""The contract survives its own JSON, and shows no secret in any other form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from infra.components.hosts import HostFacts
from infra.components.payment_service import compose
from infra.contract import Contract, Role, RotatedSecret, parse
from infra.settings import SECRET_KEYS, read

from .conftest import HOST_KEY, as_config, filled_in

CANARY = "canary-7d1f"


def contract_of(stack: str, **changed: Any) -> Contract:
    settings = read(stack, as_config(filled_in(stack) | changed), SECRET_KEYS)
    output: Any = None  # addresses and keys come from `known`
    facts = {
        host.name: HostFacts(host.name, host.site, host.roles, host.user, host.port, output, output)
        for host in settings.hosts
    }
    if settings.outside:
        facts["outside"] = HostFacts("outside", "outside", (Role.RESOLVER,), "till", 22, output, output)
    known = {
        "hosts": {name: {"address": f"192.0.2.{i}", "host_key": HOST_KEY} for i, name in enumerate(facts, 1)},
        "ca_pem": "CA",
        "release_key": {"public_key_pem": "PUBLIC", "private_key_pem": CANARY},
        "certificates": {name: {"certificate_pem": "PEM", "private_key_pem": CANARY} for name in facts},
        "secrets": {"directus_secret": CANARY},
        "simulator": {"paypal_client_id": "made", "paypal_webhook_id": "made-too"} if settings.outside else {},
        "ssh_private_key": CANARY,
    }
    return compose(stack, settings, facts, known)


@pytest.mark.parametrize("stack", ["lab", "staging", "production"])
def test_round_trip(stack: str) -> None:
    contract = contract_of(stack)
    again = parse(contract.to_json())
    assert again == contract
    assert again.secrets["directus_secret"].get_secret_value() == CANARY


def test_secrets_show_in_no_other_form() -> None:
    contract = contract_of("lab")
    for text in (repr(contract), str(contract), json.dumps(contract.public()), str(contract.model_dump())):
        assert CANARY not in text


def test_a_providers_credentials_are_secrets_of_the_contract_alone() -> None:
    place = {"provider": "ddns", "options": {"ddns_server": "192.0.2.53"}, "nameservers": ["ns.provider.example"]}
    contract = contract_of("staging", dnsProvider=place, dnsProviderCredentials=f'{{"auth_token": "{CANARY}-dns"}}')
    again = parse(contract.to_json()).dns_provider
    assert again is not None
    assert again.credentials["auth_token"].get_secret_value() == f"{CANARY}-dns"
    assert (again.options, again.nameservers) == (place["options"], ("ns.provider.example",))
    for text in (repr(contract), json.dumps(contract.public()), str(contract.model_dump())):
        assert CANARY not in text
    assert contract_of("staging").dns_provider is None


def test_outside_is_not_one_of_the_hosts() -> None:
    contract = contract_of("lab")
    assert [host.name for host in contract.hosts] == ["alpha", "bravo", "ops"]
    assert contract.outside is not None
    assert contract.paypal.api_url == "https://paypal.lab.test:8443"
    assert contract.acme.ca_pem == "CA"


def test_production_speaks_to_the_real_world() -> None:
    contract = contract_of("production")
    assert contract.outside is None
    assert contract.paypal.api_url == "https://api-m.paypal.com"
    assert contract.acme.ca_pem is None


def test_the_key_of_releases_has_one_half_in_clear() -> None:
    contract = contract_of("lab")
    assert contract.public()["release_key"] == {"public_key_pem": "PUBLIC", "private_key_pem": "[REDACTED]"}
    again = parse(contract.to_json()).release_key
    assert again.private_key_pem.get_secret_value() == CANARY


def test_a_contract_from_before_releases_were_signed_is_refused() -> None:
    older = {name: value for name, value in json.loads(contract_of("lab").to_json()).items() if name != "release_key"}
    with pytest.raises(ValidationError, match="release_key"):
        parse(json.dumps(older))


def test_a_foreign_version_is_refused() -> None:
    text = contract_of("lab").to_json().replace('"version":2', '"version":9', 1)
    with pytest.raises(ValueError, match=r"version 9 found, 1 and 2 understood.*pulumi up"):
        parse(text)


def test_a_contract_of_version_1_is_read_as_one_of_vps_hosts() -> None:
    now = contract_of("lab")
    older = json.loads(now.to_json())
    del older["platform"]
    older |= {"version": 1, "secrets": {name: pair["current"] for name, pair in older["secrets"].items()}}
    assert parse(json.dumps(older)) == now
    # One of today is never taken for one of before, whose secrets were bare texts.
    with pytest.raises(ValidationError, match="secrets"):
        parse(json.dumps({**older, "version": 2}))


def test_a_rotated_secret_keeps_its_value_of_before_and_shows_neither() -> None:
    before = f"{CANARY}-of-before"
    pair = RotatedSecret(current=SecretStr(CANARY), previous=SecretStr(before))
    contract = contract_of("lab").model_copy(update={"secrets": {"directus_secret": pair}})
    again = parse(contract.to_json()).secrets["directus_secret"]
    assert again.values() == [CANARY, before]
    assert again.get_secret_value() == CANARY
    for text in (repr(contract), json.dumps(contract.public()), str(contract.model_dump())):
        assert CANARY not in text


@pytest.mark.parametrize(
    "platform",
    [
        {"kind": "vps"},
        {"kind": "swarm", "managers": ["alpha"]},
        {"kind": "kubernetes", "kubeconfig": CANARY, "namespace": "shop"},
    ],
    ids=lambda platform: platform["kind"],
)
def test_each_platform_survives_its_own_json(platform: dict[str, Any]) -> None:
    document = {**json.loads(contract_of("lab").to_json()), "platform": platform}
    contract = parse(json.dumps(document))
    assert contract.platform.kind == platform["kind"]
    assert json.loads(contract.to_json())["platform"] == json.loads(json.dumps(platform))
    assert CANARY not in repr(contract) + json.dumps(contract.public())

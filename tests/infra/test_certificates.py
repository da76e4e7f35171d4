"""The internal CA: what it issues is valid, and a renewal comes before the end."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

import pytest
from cryptography import x509 as crypto
from cryptography.hazmat.primitives import serialization

from infra.components import x509
from infra.components.certificates import AuthorityProvider, HostCertificateProvider

NAMES = ["alpha", "alpha.lab.test", "198.18.7.11"]


@pytest.fixture(scope="module")
def authority() -> dict[str, str]:
    return x509.authority("Till test CA", 3650)


@pytest.fixture
def inputs(authority: dict[str, str]) -> dict[str, Any]:
    return {
        "name": "alpha",
        "alternative_names": NAMES,
        "days": "397",
        "renew_days": "30",
        "ca_certificate_pem": authority["certificate_pem"],
        "ca_private_key_pem": authority["private_key_pem"],
    }


def test_a_host_certificate_is_signed_and_names_the_host(inputs: dict[str, Any]) -> None:
    made = x509.issue(inputs)
    certificate = crypto.load_pem_x509_certificate(made["certificate_pem"].encode())
    certificate.verify_directly_issued_by(crypto.load_pem_x509_certificate(inputs["ca_certificate_pem"].encode()))
    names = certificate.extensions.get_extension_for_class(crypto.SubjectAlternativeName).value
    assert names.get_values_for_type(crypto.DNSName) == ["alpha", "alpha.lab.test"]
    assert names.get_values_for_type(crypto.IPAddress) == [ipaddress.ip_address("198.18.7.11")]
    key = serialization.load_pem_private_key(made["private_key_pem"].encode(), password=None)
    assert key.public_key() == certificate.public_key()


def test_nothing_changes_while_it_is_valid(inputs: dict[str, Any]) -> None:
    provider = HostCertificateProvider()
    made = provider.create(inputs)
    assert made.outs is not None
    assert provider.diff(made.id, made.outs, inputs).changes is False


def test_other_names_and_the_approaching_end_renew_it(inputs: dict[str, Any]) -> None:
    provider = HostCertificateProvider()
    outs = provider.create(inputs).outs
    assert outs is not None
    assert provider.diff("id", outs, {**inputs, "alternative_names": [*NAMES, "new.lab.test"]}).changes
    soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=29)).isoformat()
    due = {**outs, "not_after": soon}
    assert provider.diff("id", due, inputs).changes
    renewed = provider.update("id", due, inputs).outs
    assert renewed is not None
    assert renewed["serial"] != outs["serial"]
    assert provider.diff("id", renewed, inputs).changes is False


def test_a_ca_that_nears_its_end_is_replaced(authority: dict[str, str]) -> None:
    provider = AuthorityProvider()
    inputs = {"name": "Till test CA", "days": "3650", "renew_days": "397"}
    assert provider.diff("id", {**inputs, **authority}, inputs).changes is False
    soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=396)).isoformat()
    assert provider.diff("id", {**inputs, **authority, "not_after": soon}, inputs).replaces == ["not_after"]

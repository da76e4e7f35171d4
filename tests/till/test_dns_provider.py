"""The records at a provider, by two modules of dns-lexicon against a real nameserver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.contract import Contract, DnsProvider
from tests.policy import POLICY
from tests.provider_zone import FOREIGN, Provider, running
from till import dns_provider
from till.public_zone import service_names

from .conftest import contract_of, host

ALPHA, BRAVO = ("192.0.2.11", "192.0.2.12"), ("198.51.100.21",)
TTL_S = POLICY["policy_provider_record_ttl_s"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running(tmp_path_factory.mktemp("provider")) as server:
        yield server


@pytest.fixture(params=["ddns", "powerdns"])
def contract(request: pytest.FixtureRequest, server: Provider) -> Iterator[Contract]:
    contract = at(server.by(request.param))
    yield contract
    dns_provider.converge(contract, service_names(contract), ())


def at(provider: DnsProvider) -> Contract:
    return contract_of(host("alpha")).model_copy(update={"dns_provider": provider})


def led(server: Provider, contract: Contract) -> dict[str, tuple[list[str], int | None]]:
    return {name: server.answer(name) for name in service_names(contract)}


def test_names_are_made_moved_and_left_alone(server: Provider, contract: Contract) -> None:
    names = service_names(contract)
    assert led(server, contract) == dict.fromkeys(names, ([], None))
    made = dns_provider.converge(contract, names, ALPHA)
    assert len(made) == len(names) * len(ALPHA)
    assert led(server, contract) == dict.fromkeys(names, (list(ALPHA), TTL_S))
    serial = server.serial()
    assert dns_provider.converge(contract, names, ALPHA) == []
    assert server.serial() == serial
    moved = dns_provider.converge(contract, names, BRAVO)
    assert f"shop.lab.test A {BRAVO[0]} is added" in moved
    assert f"shop.lab.test A {ALPHA[1]} is removed" in moved
    assert led(server, contract) == dict.fromkeys(names, (list(BRAVO), TTL_S))
    assert server.foreign() == FOREIGN

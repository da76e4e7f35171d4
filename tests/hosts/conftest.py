"""Hosts of the stack in $TILL_STACK, reached as the runner reaches them. Run by `till verify STACK`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from tests.hosts.shell import Shell
from till.hosts.session import open_session
from till.stacks import stack

STACK = os.environ.get("TILL_STACK", "")

# A plain `pytest` runs these through `till verify` in tests/fleet, against a stack that is up.
collect_ignore_glob = [] if STACK else ["test_*.py"]


@cache
def the_contract() -> Contract:
    return stack.contract(STACK)


def hosts_with(*roles: Role) -> list[Host]:
    """The stack's hosts that carry all the roles."""
    return [host for host in the_contract().hosts if set(roles) <= set(host.roles)]


@pytest.fixture(scope="session")
def contract() -> Contract:
    return the_contract()


@pytest.fixture(scope="session")
def machines(contract: Contract) -> Iterator[dict[str, Machine]]:
    """One testinfra host per host of the stack, as root."""
    with open_session(contract) as session:
        shells = {host.name: Shell(session, host.name) for host in contract.hosts}
        found = {name: Machine(shell) for name, shell in shells.items()}
        for name, shell in shells.items():
            shell.set_host(found[name])
        yield found
        for shell in shells.values():
            shell.end()


@pytest.fixture
def machine(machines: dict[str, Machine], host: Host) -> Machine:
    return machines[host.name]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `host` runs on every host, or on those of its `roles` marker."""
    if "host" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("roles")
        chosen = hosts_with(*(marker.args if marker else ()))
        metafunc.parametrize("host", chosen, ids=[one.name for one in chosen])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "roles(*roles): hosts that carry these roles")

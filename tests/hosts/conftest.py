"""Hosts of the stack in $TILL_STACK, reached as the runner reaches them. Run by `till verify STACK`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

import pytest
import testinfra
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role
from till import stack
from till.workplace import Workplace, opened

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
def workplace(contract: Contract) -> Iterator[Workplace]:
    with opened(contract) as place:
        lines = ["Host *"]
        for option in place.ssh_options():
            name, _, value = option.removeprefix("-o").partition("=")
            lines.append(f"  {name} {value}")
        lines.append(f"  ControlPath {place.folder}/cp/%C")
        (place.folder / "ssh_config").write_text("\n".join(lines) + "\n")
        yield place


@pytest.fixture(scope="session")
def machines(contract: Contract, workplace: Workplace) -> dict[str, Machine]:
    """One testinfra host per host of the stack, as root."""
    return {
        host.name: testinfra.get_host(
            f"ssh://{host.user}@{host.address}:{host.port}",
            ssh_config=str(workplace.folder / "ssh_config"),
            sudo=host.user != "root",
            controlpersist=0,
        )
        for host in contract.hosts
    }


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

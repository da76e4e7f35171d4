"""The lock of the stack can be asked for on every host that keeps it."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host as Machine

from infra.contract import Contract, Host, Role


@pytest.mark.roles(Role.ETCD)
def test_every_member_tells_who_changes_the_stack(host: Host, machine: Machine, contract: Contract) -> None:
    assert set(json.loads(machine.check_output("/opt/till-host/current/bin/lease show"))) == {"holder"}
    settings = json.loads(machine.check_output("cat /etc/till/lease.json"))
    # Its own member first: the others may be on the other side of a cut.
    assert settings["etcd"][0] == host.address
    assert set(settings["etcd"]) == {one.address for one in contract.hosts if Role.ETCD in one.roles}


@pytest.mark.roles(Role.APP)
def test_every_host_with_slots_can_tell_an_older_change(host: Host, machine: Machine) -> None:
    ask = (
        "import sys; sys.path.insert(0, '/opt/till-host/current'); from till_host.slots import fence;"
        " fence.fenced({'fence': 2}, 1)"
    )
    told = machine.run(f'/usr/bin/python3 -c "{ask}"')
    assert told.rc == 1
    assert "a newer change (token 2) has taken over" in told.stderr

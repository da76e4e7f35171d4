"""A second lab beside the first: brought up verb by verb, as a person does it by hand, and taken down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.contract import Contract
from tests.conftest import done
from tests.fleet.database import well_told
from till.checks import purchase
from till.progress import Progress
from till.releases import release
from till.stacks import stack

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.timeout(2400)]
SECOND = "lab-second"
VERSION = "v1.0.0-paypal"


@pytest.fixture
def settings(lab: Contract) -> Iterator[None]:
    """The lab's settings under another name; nobody but tests has that stack, so what is left of it goes first."""
    if stack.exists(SECOND):
        done("down", SECOND)
    lines = stack.settings_file(lab.stack).read_text().splitlines(keepends=True)
    stack.settings_file(SECOND).write_text("".join(line for line in lines if not line.startswith("encryptionsalt:")))
    try:
        yield
        assert not stack.exists(SECOND)
    finally:
        if stack.exists(SECOND):
            done("down", SECOND)
        stack.settings_file(SECOND).unlink()


@pytest.mark.usefixtures("settings")
def test_a_second_lab_sells_beside_the_first_and_goes_alone(lab: Contract) -> None:
    stack.up(SECOND, print)
    assert done("provision", SECOND)["ok"]
    if not release.is_built(SECOND, VERSION):
        done("release", "build", SECOND, "--version", VERSION)
    done("deploy", SECOND, VERSION)
    assert done("smoke", SECOND)["payment_status"] == "completed"
    second = stack.contract(SECOND)
    assert {host.address for host in second.hosts}.isdisjoint({host.address for host in lab.hosts})
    assert purchase.run(lab, Progress(quiet=True))["payment_status"] == "completed"
    done("down", SECOND)
    well_told(90)
    assert purchase.run(lab, Progress(quiet=True))["payment_status"] == "completed"

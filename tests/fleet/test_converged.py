"""A fleet that has just come up is as it is wanted: nothing is left to do. Runs before all other tests of the lab."""

from __future__ import annotations

import subprocess

import pytest

from infra.contract import Contract
from tests.fleet.conftest import STACK, till
from till.paths import CHECKOUT, VENV_BIN
from till.stacks import stack

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]


def test_what_came_up_left_the_checkout_as_it_was(lab: Contract) -> None:
    assert "encryptionsalt" not in stack.settings_file(STACK).read_text()


def test_a_second_provision_changes_nothing(lab: Contract) -> None:
    code, told, messages = till("provision", STACK)
    assert (code, told["changed"]) == (0, 0), messages[-3000:]


@pytest.mark.matrix
def test_check_on_a_converged_fleet_would_change_nothing(lab: Contract) -> None:
    code, told, messages = till("provision", STACK, "--check")
    assert (code, told["changed"]) == (0, 0), messages[-3000:]


def test_second_pulumi_up_changes_nothing(lab: Contract) -> None:
    done = subprocess.run(
        [str(VENV_BIN / "pulumi"), "up", "-s", STACK, "--yes", "--expect-no-changes", "--non-interactive"],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    # Pulumi by itself writes its salt into the settings.
    stack.forget_salt(STACK)
    assert done.returncode == 0, done.stdout[-2000:]

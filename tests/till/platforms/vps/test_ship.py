"""What could not be brought to every host: who is named, with which exit code, and that the old release serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ruamel.yaml import YAML

from tests.till.rollouts import FLEET, NEW, OLD
from till.errors import GateSaidNo, HostUnreachable
from till.hosts.play_result import Failure, PlayResult
from till.paths import CHECKOUT, PLAYBOOKS
from till.platforms.vps import ship

NO_ROOM = Failure("bravo", "Look for the slot, the release and room for it", "no room on bravo")
CHANGED = Failure("alpha", "Check and unpack", "has sha256 aa, the signed manifest says bb")
ILL = Failure("alpha", ship.HEALTH_GATE, "ended at once")


def refused(*failures: Failure, unreachable: tuple[Failure, ...] = (), old: str | None = OLD) -> None:
    ship.refuse_unshipped(FLEET, NEW, old, PlayResult("deploy.yml", {}, list(failures), list(unreachable)))


def test_what_was_shipped_is_not_refused() -> None:
    refused()


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ((NO_ROOM,), f"{NEW} could not be shipped, {OLD} serves on: bravo: Look .*: no room on bravo"),
        ((CHANGED,), "alpha: Check and unpack: has sha256 aa"),
        ((ILL,), f"{NEW} does not get healthy, {OLD} serves on: alpha: ended at once"),
        ((ILL, NO_ROOM), "alpha: Start and wait for health: ended at once; bravo: "),
    ],
)
def test_a_host_that_can_not_take_it_is_a_gate_that_says_no(failures: tuple[Failure, ...], told: str) -> None:
    with pytest.raises(GateSaidNo, match=told) as raised:
        refused(*failures)
    assert raised.value.exit_code == 3 and "till deploy lab" in raised.value.next_command


def test_before_the_first_release_nothing_serves_on() -> None:
    with pytest.raises(GateSaidNo, match="nothing was switched: bravo"):
        refused(NO_ROOM, old=None)


def test_a_host_that_is_not_reached_is_told_before_what_others_could_not_do() -> None:
    with pytest.raises(HostUnreachable, match=r"host bravo .* can't be reached") as raised:
        refused(ILL, unreachable=(Failure("bravo", "Upload", "timed out"),))
    assert raised.value.exit_code == 4


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def missing(requires: list[str], environment: dict[str, Any]) -> list[str]:
    """What the playbook's own expressions find."""
    (play,) = read(PLAYBOOKS / "deploy.yml")
    given = {name: trust_as_template(play["vars"][name]) for name in ("deploy_given", "deploy_missing")}
    known = {"release_manifest": {"requires_env": requires}, "application_environment": environment, **given}
    found: list[str] = Templar(DataLoader(), known).template(trust_as_template("{{ deploy_missing }}"))
    return list(found)


@pytest.mark.parametrize(
    ("requires", "found"),
    [
        ([], []),
        (["GIVEN", "PORT"], []),
        (["ZERO", "NO"], []),
        (["EMPTY"], ["EMPTY"]),
        (["NONE", "GIVEN", "ABSENT"], ["NONE", "ABSENT"]),
    ],
)
def test_what_a_release_requires_must_be_given_and_not_be_empty(requires: list[str], found: list[str]) -> None:
    environment = {"GIVEN": "x", "EMPTY": "", "NONE": None, "ZERO": 0, "NO": False}
    assert missing(requires, environment) == found


def test_what_is_missing_is_looked_for_before_anything_is_brought_and_without_values() -> None:
    first = read(PLAYBOOKS / "deploy.yml")[0]["tasks"][0]
    assert first["ansible.builtin.assert"]["that"] == "deploy_missing | length == 0"
    assert "application_environment" not in str(first)


def test_what_the_storefront_requires_can_be_given() -> None:
    """Misspelled, it could never be deployed."""
    given = set(read(PLAYBOOKS / "vars" / "application.yml")["application_environment"])
    required = set(read(CHECKOUT / "services" / "storefront" / "app.yml")["requires_env"])
    assert required and required <= given

"""Where a rollback by hand leads, and where it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.till.conftest import APP, LAB, build
from tests.till.rollouts import NEW, OLD, record
from till.errors import GateSaidNo, UsageError
from till.platforms.vps.slots import Slots
from till.rollout import rollback

BOTH = {"alpha": Slots("green", OLD, NEW), "bravo": Slots("blue", NEW, OLD)}


def test_it_leads_to_the_release_that_is_warm_on_every_host() -> None:
    assert rollback.goal(LAB, BOTH, [], "") == OLD
    assert rollback.goal(LAB, BOTH, [], OLD) == OLD


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"alpha": Slots()},
        {"alpha": Slots("green", None, NEW)},
        {"alpha": Slots("green", NEW, NEW)},
        {**BOTH, "bravo": Slots("blue", NEW, "v0.9.0")},
        {**BOTH, "bravo": Slots("blue", NEW, None)},
    ],
)
def test_without_one_on_every_host_there_is_nothing_to_return_to(found: dict[str, Slots]) -> None:
    with pytest.raises(UsageError, match="no older release is warm on every host"):
        rollback.goal(LAB, found, [], "")


def test_hosts_that_serve_different_releases_are_led_to_the_one_that_is_named() -> None:
    found = {"alpha": Slots("green", OLD, NEW), "bravo": Slots("blue", OLD, NEW)}
    assert (rollback.goal(LAB, found, [], OLD), rollback.goal(LAB, found, [], NEW)) == (OLD, NEW)
    with pytest.raises(UsageError, match="no older release is warm on every host"):
        rollback.goal(LAB, found, [], "")


@pytest.mark.parametrize("asked", [NEW, "v0.9.0"])
def test_what_serves_or_is_not_warm_is_deployed_instead(asked: str) -> None:
    with pytest.raises(UsageError, match=rf"{asked} is not warm .*\(there: {OLD}\)") as raised:
        rollback.goal(LAB, BOTH, [], asked)
    assert raised.value.next_command == f"till deploy lab {asked}"


@pytest.mark.parametrize(
    "taken_back", [record(new=OLD, verdict="fail"), record("rollback", new="v0.9.0", old=OLD, verdict="pass")]
)
def test_a_release_that_was_taken_back_is_returned_to_by_name_only(taken_back: Any) -> None:
    with pytest.raises(UsageError, match=f"{OLD} was itself taken back") as raised:
        rollback.goal(LAB, BOTH, [taken_back], "")
    assert f"till rollback lab {OLD}" in raised.value.next_command
    assert rollback.goal(LAB, BOTH, [taken_back], OLD) == OLD


@pytest.mark.parametrize(
    ("records", "voided"),
    [
        ([record(verdict="pass")], set()),
        ([record(verdict="fail")], {NEW}),
        ([record(verdict="insufficient")], {NEW}),
        ([record(verdict="unfinished")], set()),
        ([record(verdict="pass"), record("rollback", new=OLD, old=NEW, verdict="pass")], {NEW}),
        ([record(verdict="pass"), record("rollback", new=OLD, old=NEW, verdict="fail")], set()),
        ([record(verdict="fail"), record(verdict="pass")], set()),
        ([record("rollback", new=OLD, old=NEW, verdict="pass"), record(verdict="pass")], set()),
        ([record(verdict="pass"), record(verdict="fail")], {NEW}),
    ],
)
def test_the_last_word_on_a_release_counts(records: list[Any], voided: set[str]) -> None:
    assert rollback.voided(records) == voided


@pytest.mark.usefixtures("elsewhere")
def test_what_needs_what_was_removed_is_not_returned_to(app: Path) -> None:
    for version, more in (("v1.1.0", "expand"), ("v1.2.0", f"contract\nruns_beside: [{NEW}]")):
        (app / "app.yml").write_text(f"{APP}migrations: {more}\n")
        build(version, app)
    for serving, wanted in ((None, OLD), ("v9.0.0", OLD), ("v1.1.0", OLD), ("v1.2.0", NEW)):
        rollback.refuse_contracted(LAB, serving, wanted)
    with pytest.raises(GateSaidNo, match=rf"v1\.2\.0 has contracted the database: {OLD} can't run") as raised:
        rollback.refuse_contracted(LAB, "v1.2.0", OLD)
    assert raised.value.next_command

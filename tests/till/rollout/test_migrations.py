"""A release that removes something comes only where nobody needs it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.till.rollouts import NEW, OLD, manifest
from till.rollout import migrations


@pytest.mark.parametrize(
    ("serving", "new"),
    [
        ({OLD}, {"migrations": "none"}),
        ({OLD}, {"migrations": "expand"}),
        ({None}, {"migrations": "contract"}),
        (set(), {"migrations": "contract"}),
        # The same one again, with another configuration.
        ({NEW}, {"migrations": "contract"}),
        ({OLD}, {"migrations": "contract", "runs_beside": ["v0.9.0", OLD]}),
        ({OLD, NEW, None}, {"migrations": "contract", "runs_beside": [OLD]}),
    ],
)
def test_what_removes_nothing_that_is_needed_may_come(serving: set[str | None], new: dict[str, Any]) -> None:
    assert migrations.refusal(serving, manifest(**new)) == ""


@pytest.mark.parametrize(
    ("serving", "named", "told"),
    [
        ({OLD}, [], f"{OLD}, which would serve beside it, may need what it removes: its runs_beside names no release"),
        ({OLD}, ["v0.9.0"], "its runs_beside names v0.9.0 only"),
        # Hosts differ: one that needs it is enough.
        ({"v0.9.0", OLD}, ["v0.9.0"], f"and {OLD}, which would serve"),
        ({"v0.9.0", OLD}, [], f"v0.9.0 and {OLD}, which would serve"),
    ],
)
def test_what_may_need_it_is_named(serving: set[str | None], named: list[str], told: str) -> None:
    said = migrations.refusal(serving, manifest(migrations="contract", runs_beside=named))
    assert said.startswith(f"{NEW} contracts the database") and told in said


def test_another_releases_list_says_nothing_of_this_one() -> None:
    """That one `expand` serves does not say that it no longer reads what was there before."""
    assert migrations.runs_on(OLD, manifest(migrations="expand", runs_beside=[]))
    assert not migrations.runs_on(OLD, manifest(migrations="contract", runs_beside=[f"{OLD}-paypal"]))

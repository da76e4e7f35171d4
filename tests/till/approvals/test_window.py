"""The deployment window at its edges, where clocks are put forward and back, and beside the drill's host."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from till.approvals import window
from till.policy import host_policy
from till_host import window as host

MUSCAT = host_policy()["policy_deployment_window"]["production"]
# Clocks in Berlin skip 02:00-03:00 on 2026-03-29 and repeat it on 2026-10-25; both are Sundays.
BERLIN = {"days": ["Sun"], "from": "02:30", "to": "05:00", "time_zone": "Europe/Berlin"}
SKIPPED = BERLIN | {"from": "02:00", "to": "03:00"}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        # 2026-01-06 is a Tuesday; Muscat is four hours ahead of UTC.
        ("2026-01-05T21:59:59", False),
        ("2026-01-05T22:00:00", True),
        ("2026-01-06T00:59:59", True),
        ("2026-01-06T01:00:00", False),
        ("2026-01-07T22:00:00", True),
        ("2026-01-08T22:00:00", False),
        ("2026-01-04T22:00:00", False),
    ],
)
def test_the_guides_window_at_its_edges(now: str, open_: bool) -> None:
    assert window.is_open(MUSCAT, utc(now)) is open_
    assert window.judge(MUSCAT, utc(now)).passed is open_


@pytest.mark.parametrize("environment", ["lab", "staging"])
def test_where_nobody_pays_it_is_always_open(environment: str) -> None:
    verdict = window.judge(host_policy()["policy_deployment_window"][environment], utc("2026-01-09T12:00"))
    assert verdict.passed and "at any time" in verdict.sentence


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-01-05T12:00:30", "2026-01-05T22:00"),
        ("2026-01-06T01:00:00", "2026-01-06T22:00"),
        # From Thursday's end to next week's Tuesday.
        ("2026-01-08T01:00:00", "2026-01-12T22:00"),
    ],
)
def test_the_next_opening_is_told_with_date_and_zone(now: str, opens: str) -> None:
    assert window.next_opening(MUSCAT, utc(now)) == utc(opens)
    local = utc(opens) + timedelta(hours=4)
    assert f"it opens {local:%a %Y-%m-%d %H:%M} (+0400)" in window.judge(MUSCAT, utc(now)).sentence


def test_inside_the_next_opening_is_now() -> None:
    now = utc("2026-01-05T23:10:11")
    assert window.next_opening(MUSCAT, now) == now


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        # 01:59:59 is followed by 03:00:00, which is after 02:30.
        ("2026-03-29T00:59:59", False),
        ("2026-03-29T01:00:00", True),
        ("2026-03-29T02:59:59", True),
        ("2026-03-29T03:00:00", False),
        # 02:30 comes twice, and what is between them is before it once more.
        ("2026-10-25T00:29:59", False),
        ("2026-10-25T00:30:00", True),
        ("2026-10-25T01:00:00", False),
        ("2026-10-25T01:30:00", True),
        ("2026-10-25T03:59:59", True),
        ("2026-10-25T04:00:00", False),
    ],
)
def test_clocks_on_the_wall_count_where_they_change(now: str, open_: bool) -> None:
    assert window.is_open(BERLIN, utc(now)) is open_


def test_an_opening_that_clocks_skip_is_when_they_go_on() -> None:
    assert window.next_opening(BERLIN, utc("2026-03-28T12:00")) == utc("2026-03-29T01:00")
    assert window.next_opening(BERLIN, utc("2026-10-25T01:00")) == utc("2026-10-25T01:30")


def test_a_window_that_clocks_skip_as_a_whole_opens_a_week_later() -> None:
    assert window.next_opening(SKIPPED, utc("2026-03-28T12:00")) == utc("2026-04-05T00:00")


def test_one_that_never_opens_says_so() -> None:
    never: dict[str, Any] = MUSCAT | {"days": []}
    assert window.next_opening(never, utc("2026-01-05T12:00")) is None
    assert "it never opens" in window.judge(never, utc("2026-01-05T12:00")).sentence


@pytest.mark.parametrize("rule", [MUSCAT, BERLIN, SKIPPED, {}])
def test_the_drills_host_decides_alike(rule: dict[str, Any]) -> None:
    assert tuple(host.DAYS) == window.DAYS
    for hour in ("2026-03-28T00:00", "2026-10-24T00:00", "2026-01-05T00:00"):
        for quarter in range(4 * 24 * 3):
            now = utc(hour) + quarter * timedelta(minutes=15)
            assert (host.refusal(rule, now.timestamp()) == "") is window.is_open(rule, now)

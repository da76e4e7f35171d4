"""Strategies as plans, as the policy has them and as it must not have them."""

from __future__ import annotations

import pytest

from till.errors import UsageError
from till.policy import thresholds
from till.rollout import plan

POLICY = thresholds()["rollout"]


@pytest.mark.parametrize("strategy", POLICY["strategies"])
def test_every_strategy_of_the_policy_is_a_plan(strategy: str) -> None:
    assert plan.faults(plan.steps(strategy, POLICY)) == []


def test_shares_are_the_guides() -> None:
    assert [step.percent for step in plan.steps("blue-green", POLICY)] == [100]
    assert [step.percent for step in plan.steps("rolling", POLICY)] == [25, 50, 75, 100]
    canary = plan.steps("canary", POLICY)
    assert [step.percent for step in canary if step.proves] == [5] and canary[-1].percent == 100
    assert POLICY["strategy"] == "blue-green"


def test_the_last_hold_can_be_asked_for_and_no_other() -> None:
    asked, policys = plan.steps("rolling", POLICY, 1.5), plan.steps("rolling", POLICY)
    assert asked[-1].hold_s == 1.5
    assert asked[:-1] == policys[:-1]


def test_what_is_no_strategy_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="'big-bang' is none of blue-green, rolling, canary"):
        plan.steps("big-bang", POLICY)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((), "ends with 100"),
        ((plan.Step(50, 1),), "ends with 100"),
        ((plan.Step(50, 1), plan.Step(50, 1), plan.Step(100, 1)), "shares rise"),
        ((plan.Step(0, 1), plan.Step(100, 1)), "shares rise"),
        ((plan.Step(5, 10, True, 10), plan.Step(100, 1)), "5 percent"),
    ],
)
def test_what_is_no_plan_is_told(steps: tuple[plan.Step, ...], told: str) -> None:
    assert any(told in fault for fault in plan.faults(steps))

"""Canaries pass, fail or are not judged yet, and the sentence says why."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.till.canaries import ERRORS, RULES, after, steadily
from till.policy import thresholds
from till_host.judging.counts import Counts, since
from till_host.judging.judge import begin, look

RELATIVE = replace(ERRORS, no_worse_by=0.005)


@pytest.mark.parametrize("name", RULES)
def test_a_canary_that_fails_every_request_is_told_within_six(name: str) -> None:
    rule = RULES[name]
    verdicts = [steadily(rule, Counts(9), Counts(1, 1), looks)[1].verdict for looks in range(1, 7)]
    assert verdicts[-1] == "fail"
    assert verdicts[rule.least_bad - 2] == "insufficient"


def test_a_canary_that_breaks_late_is_told_within_ten_requests() -> None:
    state, well = steadily(ERRORS, Counts(18_000), Counts(2000), 10)
    assert well.verdict == "pass"
    for _ in range(10):
        state, judgement = look(state, state.seen_baseline + Counts(9), state.seen_canary + Counts(1, 1), ERRORS)
    assert judgement.verdict == "fail"


def test_a_canary_that_seems_to_have_broken_does_not_pass_by_its_past() -> None:
    patient = replace(ERRORS, fail_alpha=1e-9)
    state, _ = steadily(patient, Counts(18_000), Counts(2000), 10)
    for _ in range(5):
        state, judgement = look(state, state.seen_baseline + Counts(9), state.seen_canary + Counts(1, 1), patient)
    assert (judgement.numbers["pass_e"] or 0) > 1 / patient.pass_alpha
    assert judgement.verdict == "insufficient"


def test_600_requests_without_an_error_pass_and_500_do_not() -> None:
    _, judgement = steadily(ERRORS, Counts(45), Counts(5), 120)
    assert judgement.verdict == "pass"
    assert judgement.sentence == (
        "0 of 600 requests failed (0.0 %), 0 of 5400 on v1.0.0 (0.0 %): below 0.5 % with 95.0 % certainty"
    )
    assert steadily(ERRORS, Counts(45), Counts(5), 100)[1].verdict == "insufficient"


def test_a_canary_needs_nobody_beside_it_to_pass() -> None:
    assert "no requests on v1.0.0" in after(ERRORS, (Counts(), Counts(600)))[1].sentence
    assert after(ERRORS, (Counts(), Counts(600)))[1].verdict == "pass"


def test_too_little_traffic_is_insufficient_and_says_how_much_is_missing() -> None:
    _, judgement = after(ERRORS, (Counts(2000, 2), Counts(240)))
    assert judgement.verdict == "insufficient"
    assert judgement.numbers["needed_requests"] == 360
    assert "69.7 % certainty, about 360 more good requests would do" in judgement.sentence
    assert after(ERRORS, (Counts(2000, 2), Counts(240 + 359)))[1].verdict == "insufficient"
    assert after(ERRORS, (Counts(2000, 2), Counts(240 + 360)))[1].verdict == "pass"


def test_no_traffic_is_insufficient() -> None:
    _, judgement = after(ERRORS, (Counts(), Counts()))
    assert judgement.verdict == "insufficient"
    assert judgement.sentence.startswith(
        "no requests yet, no requests on v1.0.0: nothing says yet that it is below 0.5 %"
    )


def test_one_error_among_many_neither_fails_nor_forbids_to_pass() -> None:
    _, judgement = after(ERRORS, (Counts(9000, 9), Counts(1000, 1)))
    assert judgement.verdict == "insufficient"
    needed = judgement.numbers["needed_requests"]
    assert needed is not None
    assert after(ERRORS, (Counts(9000, 9), Counts(1000 + int(needed), 1)))[1].verdict == "pass"


def test_two_failures_are_too_few_to_fail_whatever_they_say() -> None:
    _, judgement = steadily(ERRORS, Counts(45), Counts(1, 1), 2)
    assert judgement.verdict == "insufficient"
    assert (judgement.numbers["fail_e"] or 0) > 1 / ERRORS.pass_alpha
    assert judgement.sentence.endswith("certainty, not enough to fail and too much to pass")
    assert steadily(replace(ERRORS, least_bad=1, fail_alpha=0.01), Counts(45), Counts(1, 1), 2)[1].verdict == "fail"


def test_a_canary_that_is_worse_fails_below_the_limit_and_is_told_so() -> None:
    _, judgement = steadily(ERRORS, Counts(450), Counts(50, 1), 60)
    assert judgement.verdict == "fail"
    assert judgement.sentence == (
        "60 of 3000 requests failed (2.0 %), 0 of 27000 on v1.0.0 (0.0 %): worse with 99.9 % certainty"
    )


def test_what_both_suffer_does_not_fail_by_comparison_but_by_the_limit() -> None:
    compared = replace(ERRORS, limit=None)
    both = (Counts(45, 9), Counts(5, 1))
    assert steadily(compared, *both, 60)[1].verdict == "insufficient"
    _, judgement = steadily(ERRORS, *both, 60)
    assert judgement.verdict == "fail"
    assert "above the limit of 2 % with 99.9 % certainty" in judgement.sentence


def test_what_both_suffer_at_once_is_not_held_against_the_canary() -> None:
    compared = replace(ERRORS, limit=None)
    # The old release carries most of the good minutes, the canary most of the bad one.
    readings = [(Counts(4500), Counts(50)), (Counts(4550, 25), Counts(550, 250))]
    assert after(compared, *readings)[1].verdict == "insufficient"
    assert after(compared, readings[-1])[1].verdict == "fail"


def test_no_worse_than_beside_passes_where_policy_says_so_and_the_bound_would_not() -> None:
    both = (Counts(500, 6), Counts(500, 6))
    assert steadily(ERRORS, *both, 40)[1].verdict == "insufficient"
    _, judgement = steadily(RELATIVE, *both, 40)
    assert judgement.verdict == "pass"
    assert "worse by less than 0.5 points with 9" in judgement.sentence
    assert after(RELATIVE, (Counts(), Counts(5000)))[1].verdict == "insufficient"


def test_what_is_missing_to_be_no_worse_is_about_right() -> None:
    state, judgement = steadily(RELATIVE, Counts(90), Counts(10), 20)
    needed = judgement.numbers["needed_requests"]
    assert judgement.verdict == "insufficient" and needed is not None
    for _ in range(math.ceil(needed * 1.2 / 10)):
        state, judgement = look(
            state, state.seen_baseline + Counts(90), state.seen_canary + Counts(10), RELATIVE, "v1.0.0"
        )
    assert judgement.verdict == "pass"


@pytest.mark.parametrize(
    ("seen", "now", "new"),
    [
        (Counts(100, 3), Counts(140, 5), Counts(40, 2)),
        (Counts(100, 3), Counts(100, 3), Counts()),
        (Counts(100, 3), Counts(7, 1), Counts(7, 1)),
        (Counts(100, 3), Counts(120, 1), Counts(120, 1)),
        (Counts(100, 3), Counts(101, 5), None),
    ],
)
def test_counters_that_start_anew_tell_what_came_since(seen: Counts, now: Counts, new: Counts | None) -> None:
    assert since(seen, now) == new


def test_a_restart_of_the_counted_program_loses_nothing() -> None:
    state, _ = after(ERRORS, (Counts(900, 3), Counts(100, 1)), (Counts(990, 3), Counts(110, 1)))
    state, judgement = look(state, Counts(1080, 3), Counts(5, 1), ERRORS, "v1.0.0")
    assert judgement.sentence.startswith("2 of 115 requests failed (1.7 %), 3 of 1080 on")
    _, judgement = look(state, Counts(1080, 3), Counts(15, 1), ERRORS, "v1.0.0")
    assert judgement.sentence.startswith("2 of 125 requests")


def test_a_reading_between_two_counters_waits_for_the_next() -> None:
    _, judgement = after(ERRORS, (Counts(90), Counts(10)), (Counts(90), Counts(11, 3)), (Counts(90), Counts(13, 3)))
    assert judgement.sentence.startswith("3 of 13 requests")


def test_traffic_before_the_rollout_counts_for_nothing() -> None:
    state = begin(ERRORS, Counts(50_000, 9000), Counts(700))
    _, judgement = look(state, Counts(50_090, 9000), Counts(710), ERRORS, "v1.0.0")
    assert judgement.sentence.startswith("0 of 10 requests failed (0.0 %), 0 of 90 on v1.0.0")


def test_a_comparison_waits_until_both_have_traffic() -> None:
    rule = replace(ERRORS, limit=None)
    waiting = after(rule, (Counts(9), Counts()), (Counts(18), Counts()), (Counts(27), Counts(1, 1)))[0]
    assert waiting.worse == pytest.approx(after(rule, (Counts(27), Counts(1, 1)))[0].worse)


@pytest.mark.parametrize(("requests", "bad"), [(1, 2), (3, -1), (-1, 0)])
def test_counts_that_cannot_be_are_refused(requests: int, bad: int) -> None:
    with pytest.raises(ValueError, match="can't be"):
        Counts(requests, bad)


def test_a_rule_by_which_nothing_could_fail_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing could fail"):
        replace(ERRORS, limit=None, worse_by=None)
    with pytest.raises(ValueError, match="not between 0 and 1"):
        replace(ERRORS, bound=0.0)


def test_measures_share_what_a_rollout_may_abort_falsely() -> None:
    policy = thresholds()["judge"]
    assert sum(rule.fail_alpha for rule in RULES.values()) == pytest.approx(policy["false_abort_max_ratio"])
    assert {rule.pass_alpha for rule in RULES.values()} == {policy["false_pass_max_ratio"]}


def test_slow_requests_are_told_with_their_limit() -> None:
    _, judgement = after(RULES["slow"], (Counts(900, 9), Counts(100, 2)))
    assert "2 of 100 requests took over 500 ms (2.0 %)" in judgement.sentence


def test_a_flood_of_failures_overflows_nothing() -> None:
    state, judgement = after(ERRORS, (Counts(90_000), Counts(10_000, 10_000)))
    assert judgement.verdict == "fail" and state.failing < math.inf
    assert after(ERRORS, (Counts(900_000), Counts(100_000)))[1].numbers["needed_requests"] is not None

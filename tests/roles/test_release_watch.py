"""What a watched release is judged by: each of the guide's triggers, what excuses it, and what is too little to say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.roles.shops import GOOD, NEW_PLACE, OLD_PLACE, POLICY, START, WELL, WELL_BEFORE, Shop, counts
from till.paths import PLAYBOOKS
from till.platforms.vps import counters
from till.policy import thresholds
from till_host.judging.counts import Counts
from till_host.release_watch import decide as watch
from till_host.release_watch import observe as eyes
from till_host.release_watch import policy as policies
from till_host.release_watch import ssh_gate as gate
from till_host.release_watch import traffic_query as counted
from till_host.release_watch.observe import Eyes
from till_host.slots import state as slots

WATCH: dict[str, Any] = thresholds()["watch"]
LONG_S = 120
BOTH_WITHOUT_PAYPAL = {side: {**GOOD, "paypal": False} for side in ("new", "old")}


def decided(for_s: float = LONG_S, policy: Any = POLICY, grown: Any = None, old: Any = None, **known: Any) -> Any:
    return Shop(policy, **known).looks(for_s, old, **(grown or {}))


def lacking(part: str, old: Any) -> dict[str, Any]:
    """alpha's new release lacks a part, and the old one beside it is as given."""
    return {"alpha": {"new": {**GOOD, part: False}, **({"old": old} if old != "unknown" else {})}, "bravo": WELL}


def restarted(**sides: Any) -> dict[str, Any]:
    return {"alpha": {"new": 1, "old": 0, **sides}, "bravo": {"new": 0, "old": 0}}


def test_a_release_that_is_well_is_left_alone_however_long() -> None:
    decision = decided(1200, grown={name: counts(4) for name in POLICY.rules})
    assert decision.action == ""
    assert {verdict for verdict, _ in decision.said.values()} == {"pass"}


IMMEDIATE = {
    "payment success below 80 %": ({"grown": {"payments": counts(3, 1)}}, "payments failed"),
    "no orders": ({"grown": {"orders": counts(1, 1)}}, "orders could not be created"),
    "no orders, and none before": ({"grown": {"orders": counts(1, 1)}, "before": {}}, "orders could not be created"),
    "most payments, and none before": ({"grown": {"payments": counts(3, 2)}, "before": {}}, "above 20 % with 99.9 %"),
    "responses over 10 s": ({"grown": {"ten_seconds": counts(50, 1)}}, "requests took over 10 s"),
    "Directus broken": ({"health": lacking("directus", GOOD)}, "it lacks Directus on alpha; the old release has it"),
    "PayPal lost": ({"health": lacking("paypal", GOOD)}, "it lacks PayPal on alpha; the old release has it"),
    "no answer": ({"health": {"alpha": {"new": None, "old": GOOD}}}, "it lacks an answer on alpha"),
    "it ended by itself": ({"restarts": restarted()}, "it ended by itself on alpha"),
}


@pytest.mark.parametrize("trigger", IMMEDIATE)
def test_an_immediate_trigger_takes_it_back(trigger: str) -> None:
    changed, words = IMMEDIATE[trigger]
    decision = decided(600, **changed)
    assert (decision.action, len(decision.reasons)) == ("rollback", 1)
    assert words in decision.reasons[0]


CONSIDER = {
    "payment success of 80 to 90 %": ({"grown": {"payments": counts(20, 3)}}, "payments failed"),
    "p95 of 2 to 10 s": ({"grown": {"two_seconds": counts(20, 2)}}, "requests took over 2 s"),
    "errors above 2 %": ({"grown": {"errors": counts(100, 4)}}, "requests failed"),
    "errors of what customers ask": ({"grown": {"own_errors": counts(100, 4)}}, "requests failed"),
    "no witness": ({"health": lacking("paypal", "unknown")}, "whether the old release has it is not known"),
}


@pytest.mark.parametrize("trigger", CONSIDER)
def test_a_trigger_to_consider_asks_once_or_moves_where_policy_says_so(trigger: str) -> None:
    changed, words = CONSIDER[trigger]
    grown = changed.get("grown", {})
    shop = Shop(**{name: one for name, one in changed.items() if name != "grown"})
    decision = shop.looks(600, **grown)
    assert decision.action == "tell" and words in decision.reasons[0]
    assert shop.looks(600, **grown).action == ""
    automatic = replace(POLICY, consider="rollback")
    assert decided(600, policy=automatic, **changed).action == "rollback"


def test_what_was_told_is_told_again_when_it_was_good_in_between() -> None:
    shop = Shop(health=lacking("paypal", "unknown"))
    assert shop.looks().action == "tell"
    shop.known["health"] = {"alpha": WELL, "bravo": WELL}
    assert shop.looks(1).action == ""
    shop.known["health"] = lacking("paypal", "unknown")
    assert shop.looks().action == "tell"


JUST_GOOD = {
    "two payments, both bad": {"for_s": 0, "grown": {"payments": counts(2, 2), "orders": counts(2, 2)}},
    "96 % of payments": {"grown": {"payments": counts(25, 1)}},
    "one request over 10 s in 200": {"grown": {"ten_seconds": counts(200, 1), "two_seconds": counts(200, 1)}},
    "0.4 % of errors": {"grown": {"errors": counts(250, 1), "own_errors": counts(250, 1)}},
    "a night without customers": {},
    "the host was restarted": {"restarts": restarted(old=1)},
    "the old slot does not tell": {"restarts": restarted(old=None)},
    "nothing is known of its processes": {"restarts": restarted(new=None)},
    "PayPal is away for both": {"health": {"alpha": BOTH_WITHOUT_PAYPAL}, "grown": {"payments": counts(2, 2)}},
    "the edge is away": {"health": {"alpha": {"new": None, "old": None}, "bravo": WELL}},
    "nothing is known of the old slot's traffic": {"health": {}, "restarts": {}, "serves": None},
    "payments were so before": {"grown": {"payments": counts(10, 4)}, "before": {"payments": counts(400, 160)}},
    "payments are so beside it": {
        "grown": {"payments": counts(10, 4)}, "old": {"payments": counts(3, 1)},
    },
    "the leader moved": {"grown": {"payments": counts(4, 3)}, "moved": True},
    "Prometheus is away": {"fresh": False, "grown": {"payments": counts(4, 4)}},
}  # fmt: skip


@pytest.mark.parametrize("case", JUST_GOOD)
def test_what_is_no_trigger_moves_nothing_and_tells_nobody(case: str) -> None:
    assert decided(**JUST_GOOD[case]).action == ""


def test_a_worse_fault_than_before_is_still_a_trigger() -> None:
    assert decided(grown={"payments": counts(4, 3)}, before={"payments": counts(400, 60)}).action == "rollback"
    # It was bad before, and is worse for certain: going back mends something.
    assert decided(grown={"payments": counts(4, 3)}, before={"payments": counts(400, 100)}).action == "rollback"
    # A handful of payments before says nothing.
    assert decided(grown={"payments": counts(4, 3)}, before={"payments": counts(4, 4)}).action == "rollback"


def test_too_little_traffic_is_said_to_be_so() -> None:
    said = decided(LONG_S, grown={}, before={}).said["payments"]
    assert said[0] == "insufficient" and "no payments yet, no payments on the old release before the deploy" in said[1]
    shop = Shop()
    shop.count(payments=counts(30))
    verdict, words = shop.looks(20).said["payments"]
    assert verdict == "insufficient" and words.startswith(
        "0 of 30 payments failed (0.0 %), 6 of 200 on the old release"
    )
    assert re.search(r"about \d+ more good payments would do", words)


def test_where_nothing_was_before_people_are_told_once_that_nobody_can_judge() -> None:
    shop = Shop(before={})
    shop.count(payments=counts(20, 8))
    decision = shop.looks(100)
    assert decision.action == "tell" and decision.said["payments"][0] == "insufficient"
    assert shop.now - START > POLICY.tell_s
    assert "8 of 20 payments failed" in decision.reasons[0] and "too few before the deploy" in decision.reasons[0]
    assert shop.looks(300).action == ""
    # The same where 200 payments before can be compared with: it goes.
    known = Shop()
    known.count(payments=counts(20, 8))
    assert known.looks(30).action == "rollback"


@pytest.mark.parametrize("name", [*POLICY.health_hold_s, "restarts"])
def test_a_trigger_holds_before_it_counts(name: str) -> None:
    hold_s = POLICY.hold_s(name, "immediate")
    if name == "restarts":
        known: dict[str, Any] = {"restarts": restarted()}
    else:
        known = {"health": {"alpha": {"new": None, "old": GOOD}} if name == "answer" else lacking(name, GOOD)}
    assert hold_s >= 5
    shop = Shop(**known)
    assert shop.looks(hold_s - 2).action == ""
    assert shop.looks(1).action in ("rollback", "tell")
    # A break begins it anew.
    shop = Shop(**known)
    shop.looks(hold_s - 2)
    shop.known |= {"restarts": restarted(new=0), "health": {"alpha": WELL}}
    shop.looks(0)
    assert shop.memory.since == {}


def test_counts_are_evidence_when_a_release_would_have_told_that_paypal_is_away() -> None:
    shop = Shop()
    shop.count(payments=counts(20, 20))
    assert shop.looks(POLICY.lag_s - 1).action == ""
    assert shop.looks(1).action == "rollback"


def test_what_failed_while_paypal_was_away_for_both_is_never_held_against_one() -> None:
    shop = Shop()
    # It fails before either release tells, while both do, and for a while after.
    shop.count(payments=counts(20, 20))
    assert shop.looks(POLICY.lag_s - 2).action == ""
    shop.known["health"] = {"alpha": BOTH_WITHOUT_PAYPAL}
    assert shop.looks(60, payments=counts(2, 2)).said["paypal"][0] == "held"
    shop.known["health"] = {"alpha": WELL, "bravo": WELL}
    assert shop.looks(POLICY.excused_s - 1, payments=counts(2, 2)).action == ""
    assert shop.looks(LONG_S).said["payments"][1].startswith("no payments yet")
    # What fails from then on is its own.
    assert shop.looks(POLICY.lag_s + 10, payments=counts(2, 2)).action == "rollback"


def test_what_it_did_while_the_leader_moved_is_no_evidence_and_what_it_did_before_waits() -> None:
    shop = Shop()
    shop.count(payments=counts(20, 20))
    assert shop.looks(POLICY.lag_s - 1).action == ""
    shop.known["moved"] = True
    assert shop.looks(90, payments=counts(1, 1)).action == ""
    shop.known["moved"] = False
    assert shop.looks(LONG_S).action == ""
    assert WATCH["settle_s"] >= WATCH["lag_s"]


def test_prometheus_that_was_away_loses_and_doubles_nothing() -> None:
    shop = Shop()
    shop.looks(20, payments=counts(1))
    shop.known["fresh"] = False
    assert shop.looks(200, payments=counts(1)).said["payments"] == ("insufficient", "Prometheus tells nothing fresh")
    shop.known["fresh"] = True
    assert shop.looks(20).said["payments"][1].startswith("0 of 222 payments failed")


def test_a_program_that_starts_anew_counts_on_and_one_scrape_that_fails_counts_nothing() -> None:
    shop = Shop()
    shop.looks(20, payments=counts(1))
    shop.sides[NEW_PLACE]["payments"] = Counts(3, 1)
    shop.looks(0)
    kept = shop.sides[NEW_PLACE].pop("payments")
    shop.looks(5)
    shop.sides[NEW_PLACE]["payments"] = kept
    assert shop.looks(20).said["payments"][1].startswith("1 of 24 payments failed")


def test_what_was_counted_before_the_watch_is_no_evidence() -> None:
    shop = Shop()
    shop.count(payments=counts(50, 50))
    shop.memory = watch.Memory()
    assert shop.looks(30).said["payments"][1].startswith("no payments yet")


def test_what_was_counted_while_nobody_looked_is_left_out() -> None:
    shop = Shop()
    shop.looks(20, payments=counts(1))
    shop.now += 300
    shop.count(payments=counts(50, 50))
    assert shop.looks(30).action == ""
    # What was still waiting then is left out, too.
    assert "0 of 11 payments" in shop.looks(0).said["payments"][1]


def test_a_watch_does_not_end_before_all_that_waits_is_judged_and_somebody_has_looked_for_a_while() -> None:
    shop = Shop()
    shop.looks(POLICY.excused_s + 5, payments=counts(1))
    assert not watch.ripens(shop.memory, WELL_BEFORE, POLICY, shop.now)
    shop.count(payments=counts(20, 20))
    assert shop.look().action == ""
    assert watch.ripens(shop.memory, WELL_BEFORE, POLICY, shop.now)
    shop = Shop()
    assert watch.ripens(shop.memory, WELL_BEFORE, POLICY, shop.now)


def test_the_memory_is_kept_as_json_at_any_moment_and_goes_on_the_same() -> None:
    one, other = Shop(), Shop()
    for second in range(150):
        grown = {"payments": counts(1, int(second % 9 == 0)), "errors": counts(7, int(second % 31 == 0))}
        for shop in (one, other):
            shop.count(**grown)
            shop.count(OLD_PLACE, payments=counts(1))
        assert one.look() == other.look()
        kept = json.dumps(watch.to_json(other.memory))
        other.memory = watch.from_json(json.loads(kept), POLICY)
        assert other.memory == one.memory
    assert len(kept) < 16_000


def test_a_memory_of_a_program_of_before_begins_to_count_now() -> None:
    memory = watch.from_json({"since": {"payments immediate": 990.0}, "told": ["errors"], "common_at": 0.0}, POLICY)
    shop = Shop()
    shop.memory = memory
    assert shop.looks(30).action == "" and memory.told == ["errors"]
    assert shop.looks(60, payments=counts(2, 2)).action == "rollback"


def test_a_measure_whose_policy_has_changed_meanwhile_begins_anew() -> None:
    shop = Shop()
    shop.looks(30, payments=counts(1), errors=counts(5))
    kept = json.loads(json.dumps(watch.to_json(shop.memory)))
    kept["evidence"]["measures"]["payments"]["allowed"]["over"].append(0.1)
    kept["evidence"]["measures"]["gone"] = kept["evidence"]["measures"]["errors"]
    assert set(watch.from_json(kept, POLICY).evidence.measures) == {"errors"}


def test_the_load_of_the_fleets_test_is_enough_to_take_a_broken_release_back() -> None:
    """tests/fleet/test_watch.py: a purchase a second, 2 payments; then each of four buyers fails, again and again."""
    for before in ({}, {"payments": counts(6)}, {"payments": counts(150, 60)}):
        for well_s in (5, 60):
            shop = Shop(before=before)
            assert shop.looks(well_s, payments=counts(2), orders=counts(1)).action == ""
            began = shop.now
            # On a machine of a third of the speed one failed purchase a second is what is left.
            decision = shop.looks(240, payments=counts(1, 1), orders=counts(1, 1))
            assert decision.action == "rollback", (before, decision)
            assert shop.now - began < 45


def test_traffic_that_was_led_elsewhere_ends_the_watch() -> None:
    assert decided(for_s=5, serves=False).action == ""
    assert decided(serves=False).action == "end"


def test_numbers_that_a_deploy_goes_by_are_not_said_twice() -> None:
    judged = thresholds()["judge"]["measures"]
    for name, of in {"payments": "payments", "errors": "errors", "own_errors": "errors"}.items():
        assert not {"consider_ratio", "allowed_ratio"} & set(WATCH["measures"][name])
        assert POLICY.rules[name].levels["consider"] == judged[of]["limit_ratio"]
        assert POLICY.rules[name].allowed.limit == judged[of]["bound_ratio"]
    assert set(POLICY.rules) == {"payments", "orders", "errors", "own_errors", *counted.SLOW_S}


SERIES = {
    'EDGE_http_responses_total{job="traffic",host="alpha",server="blue",code="2xx"}': "0+10x60",
    'EDGE_http_responses_total{job="traffic",host="alpha",server="blue",code="5xx"}': "0+1x60",
    'EDGE_response_errors_total{job="traffic",host="alpha",server="blue"}': "0x60",
    'EDGE_connection_errors_total{job="traffic",host="alpha",server="blue"}': "0+1x60",
    'EDGE_weight{job="traffic",host="alpha",server="blue"}': "100x60",
    'EDGE_weight{job="traffic",host="alpha",server="green"}': "0x60",
    'till_payments_total{job="slots",host="alpha",slot="blue",step="create",outcome="success"}': "0+2x60",
    'till_payments_total{job="slots",host="alpha",slot="blue",step="create",outcome="error"}': "0+1x60",
    'till_payments_total{job="slots",host="alpha",slot="blue",step="capture",outcome="success"}': "0+1x60",
    'till_payments_total{job="slots",host="alpha",slot="blue",step="capture",outcome="declined"}': "0+9x60",
    'TIMES_count{job="slots",host="alpha",slot="blue",route="/en",status="200"}': "0+4x60",
    'TIMES_count{job="slots",host="alpha",slot="blue",route="/en",status="500"}': "0+1x60",
    'TIMES_count{job="slots",host="alpha",slot="blue",route="/api/health",status="200"}': "0+9x60",
    'TIMES_bucket{job="slots",host="alpha",slot="blue",route="/en",le="2"}': "0+3x60",
    'TIMES_bucket{job="slots",host="alpha",slot="blue",route="/en",le="10"}': "0+4x60",
    'up{job="slots",host="alpha",slot="blue"}': "1x60",
    'up{job="slots",host="alpha",slot="green"}': "0x60",
    'process_start_time_seconds{job="slots",host="alpha",slot="blue"}': "5x30 9x30",
    'process_start_time_seconds{job="slots",host="alpha",slot="green"}': "5x60",
    'patroni_primary{job="database",host="alpha"}': "1x20 0x40",
    'patroni_primary{job="database",host="bravo"}': "0x20 1x40",
}


def test_one_question_tells_what_each_slot_did(tmp_path: Path) -> None:
    """Prometheus itself answers it; what it tells is read as counts."""
    binary = shutil.which("promtool")
    assert binary, "promtool is not here: run `tools/setup --tests`"
    written = {"TIMES_": f"{counted.TIMES}_", "EDGE_": counted.EDGE}
    series = []
    for name, values in SERIES.items():
        for short, whole in written.items():
            name = name.replace(short, whole)
        series.append({"series": name, "values": values})

    def asked(query: str) -> Any:
        test = {"expr": query, "eval_time": "60s", "exp_samples": []}
        (tmp_path / "rules.yml").write_text("groups: []\n")
        (tmp_path / "test.yml").write_text(
            yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [
                {"interval": "1s", "input_series": series, "promql_expr_test": [test]}
            ]})
        )  # fmt: skip
        done = subprocess.run([binary, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
        return counted.told(parsed(done.stdout + done.stderr))

    unasked, place, green = ["/api/health", "", "/api/version"], ("alpha", "blue"), ("alpha", "green")
    told = asked(counted.query(30, 60, unasked))
    known = counted.readings(told, [place, green], 5)
    found = known[place]
    assert found["payments"] == counts(240, 60) and found["orders"] == counts(180, 60)
    assert found["ten_seconds"] == counts(300, 60) and found["two_seconds"] == counts(300, 120)
    # The customers' own, and what the edge sees of all.
    assert found["own_errors"] == counts(300, 60) and found["errors"] == counts(720, 120)
    # A slot that is down tells nothing of its own: it has not begun anew with 0.
    assert set(known[green]) == {"errors"}
    assert set(counted.readings(told, [place], -1)[place]) == set(found) - {"errors"}
    assert counted.fresh(told, [place], 5) and not counted.fresh(told, [("bravo", "blue")], 5)
    assert (counted.serves(told, [place]), counted.serves(told, [green])) == (True, False)
    assert counted.serves(told, [("bravo", "blue")]) is None
    assert counted.restarts(told, place, True) == 1
    # A slot that is down is no witness, and still tells that it ended.
    assert (counted.restarts(told, green, True), counted.restarts(told, green, False)) == (None, 0)
    assert told["", ""]["moved"] == 2
    # What came before the deploy came within a window, whatever the counters stood at.
    before = counted.counts(asked(counted.query_before(30, unasked)), [place])
    assert before["payments"] == counts(120, 30) and before["orders"] == counts(90, 30)
    assert before["two_seconds"] == counts(150, 60) and before["errors"] == counts(360, 60)


def parsed(text: str) -> list[dict[str, Any]]:
    """Series out of promtool's complaint about an answer that was not expected."""
    lines = re.findall(r"\{([^}]*)\} ([0-9.E+e-]+)", text.partition("got:")[2])
    assert lines, text[-2000:]
    return [{"metric": dict(re.findall(r'(\w+)="([^"]*)"', labels)), "value": [0, value]} for labels, value in lines]


def test_series_are_those_that_a_deploy_is_judged_by() -> None:
    query = counted.query(60, 90, [])
    for name in counters.NAMES:
        assert name in query
    scraped = (PLAYBOOKS / "roles" / "monitoring" / "templates" / "prometheus.yml.j2").read_text()
    for job in ("traffic", "slots"):
        assert f"job_name: {job}" in scraped


def test_the_token_of_a_slot_is_the_edges_own(host: Path) -> None:
    state = {"digests": {"blue": "abc"}}
    assert eyes.token("blue", "abc") == slots.token(state, "blue", slots.CHECKOUT)
    assert eyes.CHECKOUT == slots.CHECKOUT


@pytest.mark.parametrize(
    "asked",
    ["slots show", "slots drain", "slots switch blue --drop --fence 17", "slots switch green --drop --fence 1"],
)
def test_the_key_may_ask_for_what_a_way_back_needs(asked: str) -> None:
    assert gate.words(asked) == asked.split(" ")


@pytest.mark.parametrize(
    "asked",
    [
        "", "sh", "slots", "slots show; id", "slots show\n", "slots switch blue", "slots switch none --drop --fence 1",
        "slots switch blue --drop --fence 0", "slots switch blue --drop --fence 1 x", "slots  show", "slots end",
        "slots weigh blue 100 9", "slots switch blue --drop --fence 1 --drop", "../slots show", "slots intend",
    ],
)  # fmt: skip
def test_the_key_may_ask_for_nothing_else(asked: str) -> None:
    assert gate.words(asked) == []


def test_settings_of_the_host_are_json_with_all_that_is_asked_of_them() -> None:
    import jinja2

    role = PLAYBOOKS / "roles" / "release_watch"
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["to_nice_json"] = json.dumps
    given = {
        **yaml.safe_load((role / "defaults" / "main.yml").read_text()), "release_watch_thresholds": thresholds(),
        "release_watch_edges": [{"name": "alpha", "address": "192.0.2.1", "roles": ["edge"]}], "dict": dict,
        "zip": zip,
    }  # fmt: skip
    environment.filters["zip"] = zip
    told = json.loads(environment.from_string((role / "templates" / "release-watch.json.j2").read_text()).render(given))
    assert told["addresses"] == {"alpha": "192.0.2.1"}
    assert policies.policy(told["thresholds"]) == POLICY


def test_argument_specs_equal_defaults() -> None:
    role = PLAYBOOKS / "roles" / "release_watch"
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    entries = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    options = {name: option for entry in entries.values() for name, option in entry["options"].items()}
    assert {name: option["default"] for name, option in options.items()} == defaults


@pytest.mark.parametrize(("age_s", "back_s"), [(0.4, 1), (20, 20), (3000, WATCH["restarts_s"])])
def test_the_start_of_a_release_by_its_deploy_is_no_restart(age_s: float, back_s: float) -> None:
    known = {"hosts": {"alpha": {"new_slot": "green", "old_slot": "blue"}}, "unasked": [], "since": START}
    eyes = Eyes(known, {"thresholds": thresholds()})
    assert f'changes(process_start_time_seconds{{job="slots"}}[{back_s:g}s])' in eyes._query(START + age_s)

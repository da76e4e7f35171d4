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

from till.paths import PLAYBOOKS
from till.platforms.vps import counters
from till.policy import thresholds
from till_host.release_watch import decide as watch
from till_host.release_watch import observe as eyes
from till_host.release_watch import policy as policies
from till_host.release_watch import ssh_gate as gate
from till_host.release_watch import traffic_query as counted
from till_host.slots import state as slots

POLICY: Any = policies.policy(thresholds())
WATCH: dict[str, Any] = thresholds()["watch"]
LONG_S = 120
GOOD = {"directus": True, "database": True, "paypal": True}
WELL = {"new": GOOD, "old": GOOD}
BOTH_WITHOUT_PAYPAL = {side: {**GOOD, "paypal": False} for side in ("new", "old")}


def counts(requests: int, bad: int = 0) -> Any:
    return policies.Counts(requests, bad)


def seen(**changed: Any) -> Any:
    """A look at a release with traffic that is well, but for what is changed."""
    good = {
        "payments": counts(40), "payments_long": counts(300), "orders": counts(20),
        "ten_seconds": counts(900), "two_seconds": counts(900),
        "errors": counts(900),
    }  # fmt: skip
    known = {
        "fresh": True, "health": {"alpha": WELL, "bravo": WELL}, "serves": True,
        "restarts": {host: {"new": 0, "old": 0} for host in ("alpha", "bravo")},
    }  # fmt: skip
    return policies.Seen(**{**known, **changed, "new": {**good, **changed.get("new", {})}})


def decided(one: Any, for_s: float = LONG_S, policy: Any = POLICY, memory: Any = None) -> Any:
    """The decision after this was seen for so long, a look each second; the first that does something."""
    memory = memory or watch.Memory()
    for second in range(int(for_s) + 1):
        decision = watch.decide(one, memory, policy, 1000.0 + second)
        if decision.action:
            break
    return decision


def lacking(part: str, old: Any) -> dict[str, Any]:
    """alpha's new release lacks a part, and the old one beside it is as given."""
    return {"alpha": {"new": {**GOOD, part: False}, **({"old": old} if old != "unknown" else {})}, "bravo": WELL}


def restarted(**sides: Any) -> dict[str, Any]:
    return {"alpha": {"new": 1, "old": 0, **sides}, "bravo": {"new": 0, "old": 0}}


def test_a_release_that_is_well_is_left_alone_however_long() -> None:
    decision = decided(seen())
    assert decision.action == ""
    assert {verdict for verdict, _ in decision.said.values()} == {"pass"}


IMMEDIATE = {
    "payment success below 80 %": ({"new": {"payments": counts(40, 9)}}, "9 of 40 payments failed"),
    "no orders": ({"new": {"orders": counts(6, 6)}}, "6 of 6 orders could not be created"),
    "few payments, most of them bad": (
        {"new": {"payments": counts(3, 2), "payments_long": counts(12, 8)}},
        "8 of 12 payments failed within 900 s",
    ),
    "responses over 10 s": ({"new": {"ten_seconds": counts(200, 4)}}, "4 of 200 requests took over 10 s"),
    "Directus broken": ({"health": lacking("directus", GOOD)}, "it lacks Directus on alpha; the old release has it"),
    "PayPal lost": ({"health": lacking("paypal", GOOD)}, "it lacks PayPal on alpha; the old release has it"),
    "no answer": ({"health": {"alpha": {"new": None, "old": GOOD}}}, "it lacks an answer on alpha"),
    "it ended by itself": ({"restarts": restarted()}, "it ended by itself on alpha"),
}


@pytest.mark.parametrize("trigger", IMMEDIATE)
def test_an_immediate_trigger_takes_it_back(trigger: str) -> None:
    changed, words = IMMEDIATE[trigger]
    decision = decided(seen(**changed))
    assert (decision.action, len(decision.reasons)) == ("rollback", 1)
    assert words in decision.reasons[0]


CONSIDER = {
    "payment success of 80 to 90 %": ({"new": {"payments": counts(40, 6)}}, "6 of 40 payments failed"),
    "p95 of 2 to 10 s": ({"new": {"two_seconds": counts(200, 11)}}, "11 of 200 requests took over 2 s"),
    "errors above 2 %": ({"new": {"errors": counts(200, 5)}}, "5 of 200 requests failed"),
    "no witness": ({"health": lacking("paypal", "unknown")}, "whether the old release has it is not known"),
}


@pytest.mark.parametrize("trigger", CONSIDER)
def test_a_trigger_to_consider_asks_once_or_moves_where_policy_says_so(trigger: str) -> None:
    changed, words = CONSIDER[trigger]
    memory = watch.Memory()
    decision = decided(seen(**changed), memory=memory)
    assert decision.action == "tell" and words in decision.reasons[0]
    assert decided(seen(**changed), memory=memory).action == ""
    # When it was over in between it is told again.
    assert decided(seen(), for_s=1, memory=memory).action == ""
    assert decided(seen(**changed), memory=memory).action == "tell"
    automatic = replace(POLICY, consider="rollback")
    assert decided(seen(**changed), policy=automatic).action == "rollback"


JUST_GOOD = {
    "80 % and no trigger before 10 payments": {"new": {"payments": counts(9, 9), "orders": counts(4, 4)}},
    "90 % of payments": {"new": {"payments": counts(40, 4)}},
    "one request over 10 s": {"new": {"ten_seconds": counts(60, 2), "two_seconds": counts(60, 2)}},
    "2 % of errors": {"new": {"errors": counts(200, 4)}},
    "one person's retries": {"new": {"errors": counts(60, 2)}},
    "a night without customers": {"new": dict.fromkeys(POLICY.rules, counts(0))},
    "the host was restarted": {"restarts": restarted(old=1)},
    "the old slot does not tell": {"restarts": restarted(old=None)},
    "nothing is known of its processes": {"restarts": restarted(new=None)},
    "PayPal is away for both": {"health": {"alpha": BOTH_WITHOUT_PAYPAL}},
    "the edge is away": {"health": {"alpha": {"new": None, "old": None}, "bravo": WELL}},
    "nothing is known of the old slot's traffic": {"health": {}, "restarts": {}, "serves": None},
    "payments were so before": {"new": {"payments": counts(40, 15)}, "before": {"payments": counts(400, 120)}},
    "payments are so beside it": {"new": {"payments": counts(40, 15)}, "old": {"payments": counts(30, 12)}},
    "the leader moved": {"new": {"payments": counts(40, 30)}, "moved": True},
    "Prometheus is away": {"fresh": False, "new": {"payments": counts(40, 40)}},
}


@pytest.mark.parametrize("case", JUST_GOOD)
def test_what_is_no_trigger_moves_nothing_and_tells_nobody(case: str) -> None:
    assert decided(seen(**JUST_GOOD[case])).action == ""


def test_a_worse_fault_than_before_is_still_a_trigger() -> None:
    one = seen(new={"payments": counts(40, 30)}, before={"payments": counts(400, 60)})
    assert decided(one).action == "rollback"
    # A handful of payments before says nothing.
    one = seen(new={"payments": counts(40, 30)}, before={"payments": counts(4, 4)})
    assert decided(one).action == "rollback"


def test_too_little_traffic_is_said_to_be_so() -> None:
    said = decided(seen(new={"payments": counts(3, 3)})).said["payments"]
    assert said == ("insufficient", "3 of 3 payments failed within 60 s; 10 are needed to say")


@pytest.mark.parametrize("name", [*POLICY.rules, *POLICY.health_hold_s, "restarts"])
def test_a_trigger_holds_before_it_counts(name: str) -> None:
    hold_s = POLICY.hold_s(name)
    if name in POLICY.rules:
        bad = seen(new={name: counts(100, 99)})
    elif name == "restarts":
        bad = seen(restarts=restarted())
    else:
        bad = seen(health={"alpha": {"new": None, "old": GOOD}} if name == "answer" else lacking(name, GOOD))
    assert hold_s >= 5
    assert decided(bad, for_s=hold_s - 1).action == ""
    assert decided(bad, for_s=hold_s).action in ("rollback", "tell")
    # A break begins it anew.
    memory = watch.Memory()
    decided(bad, for_s=hold_s - 1, memory=memory)
    decided(seen(), for_s=0, memory=memory)
    assert memory.since == {}


def test_what_failed_while_paypal_was_away_for_both_is_excused_until_the_window_has_passed() -> None:
    memory = watch.Memory()
    away = {"alpha": BOTH_WITHOUT_PAYPAL}
    failing = {"payments": counts(40, 30)}
    assert watch.decide(seen(new=failing, health=away), memory, POLICY, 1000.0).said["payments"][0] == "held"
    window_s = POLICY.rules["payments"].window_s
    for second in range(1, int(window_s) + 1):
        assert watch.decide(seen(new=failing), memory, POLICY, 1000.0 + second).action == ""
    after = [watch.decide(seen(new=failing), memory, POLICY, 1000.0 + window_s + n).action for n in range(1, 15)]
    assert "rollback" in after
    # Few payments are counted together for longer, so what failed then excuses them for longer.
    long_ago = {"payments": counts(2, 1), "payments_long": counts(40, 30)}
    long_s = POLICY.rules["payments_long"].window_s
    for second in (int(window_s) + 60, int(long_s)):
        assert watch.decide(seen(new=long_ago), memory, POLICY, 1000.0 + second).said["payments_long"][0] == "held"
    # The leader's move is held for at least as long as a window.
    assert WATCH["settle_s"] >= WATCH["window_s"]


def test_traffic_that_was_led_elsewhere_ends_the_watch() -> None:
    assert decided(seen(serves=False), for_s=5).action == ""
    assert decided(seen(serves=False)).action == "end"


def test_numbers_that_a_deploy_goes_by_are_not_said_twice() -> None:
    judged = thresholds()["judge"]["measures"]
    for name, of in {"payments": "payments", "payments_long": "payments", "errors": "errors"}.items():
        assert "consider_ratio" not in WATCH["measures"][name]
        assert POLICY.rules[name].consider_ratio == judged[of]["limit_ratio"]
    assert set(POLICY.rules) == {"payments", "payments_long", "orders", "errors", *counted.SLOW_S}
    assert set(policies.LONG) < set(POLICY.rules)


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
    query = counted.query(30, 20, 60, ["/api/health", "", "/api/version"])
    test = {"expr": query, "eval_time": "60s", "exp_samples": []}
    written = {"TIMES_": f"{counted.TIMES}_", "EDGE_": counted.EDGE}
    series = []
    for name, values in SERIES.items():
        for short, whole in written.items():
            name = name.replace(short, whole)
        series.append({"series": name, "values": values})
    (tmp_path / "rules.yml").write_text("groups: []\n")
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [
            {"interval": "1s", "input_series": series, "promql_expr_test": [test]}
        ]})
    )  # fmt: skip
    done = subprocess.run([binary, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    told = counted.told(parsed(done.stdout + done.stderr))
    place = ("alpha", "blue")
    found = counted.counts(told, [place])
    assert found["payments"] == counts(120, 30) and found["orders"] == counts(90, 30)
    assert found["payments_long"] == counts(80, 20)
    assert found["ten_seconds"] == counts(150, 30) and found["two_seconds"] == counts(150, 60)
    # 5 of the customers' own fail in 4 + 1 + 1 s, which is more than the edge sees of all.
    assert found["errors"] == counts(180, 60)
    assert counted.counts(told, [("alpha", "green")])["payments"] == counts(0)
    assert counted.fresh(told, [place], 5) and not counted.fresh(told, [("bravo", "blue")], 5)
    assert (counted.serves(told, [place]), counted.serves(told, [("alpha", "green")])) == (True, False)
    assert counted.serves(told, [("bravo", "blue")]) is None
    assert counted.restarts(told, place, True) == 1
    # A slot that is down is no witness, and still tells that it ended.
    green = ("alpha", "green")
    assert (counted.restarts(told, green, True), counted.restarts(told, green, False)) == (None, 0)
    assert told["", ""]["moved"] == 2


def parsed(text: str) -> list[dict[str, Any]]:
    """Series out of promtool's complaint about an answer that was not expected."""
    lines = re.findall(r"\{([^}]*)\} ([0-9.E+e-]+)", text.partition("got:")[2])
    assert lines, text[-2000:]
    return [{"metric": dict(re.findall(r'(\w+)="([^"]*)"', labels)), "value": [0, value]} for labels, value in lines]


def test_series_are_those_that_a_deploy_is_judged_by() -> None:
    query = counted.query(60, 900, 90, [])
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

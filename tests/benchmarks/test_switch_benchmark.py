"""What the benchmark of switches counts, and that it ends in time and as it began. Without a lab."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import settings, switch, switch_outcome, switching
from benchmarks.switch_outcome import Switch
from benchmarks.visits import Visit
from till.errors import TillError, UsageError
from till.platforms.vps.slots import Slots
from till.progress import Progress

BLUE, GREEN = "v1.0.0", "v1.0.1-switch"
BARS = settings.bars(switch.BARS)


def visits(version: str, *at: float, took_s: float = 0.01, status: int = 200) -> list[Visit]:
    return [Visit(one, took_s, status, version) for one in at]


def switched(kind: Any, left: str, to: str, at: float) -> Switch:
    return Switch(kind, left, to, at, 0.2)


SWITCHES = [switched("deploy", BLUE, GREEN, 10), switched("rollback", GREEN, BLUE, 20)]


def test_a_quantile_is_a_time_that_was_measured() -> None:
    found = [Visit(0, number / 1000, 200, BLUE) for number in range(100, 0, -1)]
    assert [switch_outcome.quantile_ms(found, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    with pytest.raises(ValueError, match="nothing was visited"):
        switch_outcome.quantile_ms([], 0.5)


def test_the_last_answer_of_what_is_left_counts_from_the_decision() -> None:
    seen = visits(BLUE, 9, 10.1) + visits(GREEN, 10.3, 19.9) + visits(GREEN, 19.95, took_s=0.45) + visits(BLUE, 20.5)
    assert switch_outcome.left_s(seen, SWITCHES) == [0.11, 0.4]


def test_a_release_that_answers_nothing_more_was_left_at_once() -> None:
    assert switch_outcome.left_s(visits(BLUE, 9) + visits(GREEN, 11) + visits(BLUE, 21), SWITCHES) == [0, 0]


def test_an_answer_after_the_next_switch_is_not_of_the_one_before() -> None:
    seen = visits(BLUE, 9) + visits(GREEN, 11) + visits(BLUE, 19.99, took_s=0.5)
    assert switch_outcome.left_s(seen, SWITCHES)[0] == 0


def test_switches_that_nobody_saw_are_counted() -> None:
    assert switch_outcome.unseen(visits(GREEN, 11) + visits(BLUE, 21), SWITCHES) == 0
    assert switch_outcome.unseen(visits(BLUE, 11, 21), SWITCHES) == 1
    assert switch_outcome.unseen([], []) == 0


@pytest.mark.parametrize(
    ("more", "broken"),
    [
        ([], set()),
        (visits("", 12, status=0), {"failed requests"}),
        (visits(GREEN, 12, status=503), {"failed requests"}),
        (visits(GREEN, 12, 13, took_s=0.03), {"added p99"}),
        (visits(BLUE, 11.5), {"decision to the last answer of the release that is left"}),
    ],
)
def test_each_bar_can_be_missed_by_itself(more: list[Visit], broken: set[str]) -> None:
    during = visits(BLUE, *(1 + step / 10 for step in range(80))) + visits(GREEN, 11) + visits(BLUE, 21) + more
    found = switch_outcome.result(visits(BLUE, *range(9)), during, SWITCHES, BARS)
    assert {bar["bar"] for bar in found["bars"] if not bar["holds"]} == broken
    assert found["switches"] == 2 and found["with"]["requests"] == len(during)
    assert found["switch_s"] == {"deploy": 0.2, "rollback": 0.2}


@pytest.mark.parametrize(
    ("found", "serving", "warm"),
    [
        # Slots may differ between hosts, releases may not.
        ({"a": Slots("blue", BLUE, GREEN), "b": Slots("green", GREEN, BLUE)}, BLUE, GREEN),
        ({"a": Slots("blue", BLUE, GREEN), "b": Slots("blue", BLUE, None)}, BLUE, None),
        ({"a": Slots("blue", BLUE, BLUE)}, BLUE, None),
        ({"a": Slots("blue", BLUE, GREEN), "b": Slots("green", BLUE, GREEN)}, None, None),
        ({}, None, None),
    ],
)
def test_two_releases_are_the_same_on_every_host(
    found: dict[str, Slots], serving: str | None, warm: str | None
) -> None:
    assert switching.pair(found) == (serving, warm)


class Edges:
    """What was asked of the edges, and which release they lead to; `breaks_at`: the promotion that fails."""

    def __init__(self, breaks_at: int = 0) -> None:
        self.asked = list[tuple[Any, ...]]()
        self.hosts = list[Any]()
        self.serving, self.breaks_at = BLUE, breaks_at
        self._meant = ""

    def end(self) -> None:
        self.asked.append(("end",))

    def intend(self, version: str) -> str:
        self._meant = version
        return version

    def weigh(self, intents: str, percent: int, _lease_s: float) -> None:
        self.asked.append(("weigh", intents, percent))

    def promote(self, intents: str, drop: bool = False) -> None:
        self.asked.append(("promote", intents, drop))
        if sum(one[0] == "promote" for one in self.asked) == self.breaks_at:
            raise TillError("bravo: no")
        self.serving = intents


class NoVisits:
    """Stands where Visits do."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.all = visits(BLUE, time.time())

    def __enter__(self) -> NoVisits:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left."""


def bench(edges: Any, monkeypatch: pytest.MonkeyPatch, for_s: float = 60) -> switching.Bench:
    monkeypatch.setattr(switching, "VisitsApart", NoVisits)
    session: Any = SimpleNamespace(contract=SimpleNamespace(stack="lab"))
    return switching.Bench(session, edges, lambda: None, 40, time.monotonic() + for_s)


def test_deploys_and_rollbacks_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = Edges()
    _, switches = bench(edges, monkeypatch).switched(BLUE, GREEN, 4, 0)
    assert [(one.kind, one.left, one.to) for one in switches] == [
        ("deploy", BLUE, GREEN), ("rollback", GREEN, BLUE), ("deploy", BLUE, GREEN), ("rollback", GREEN, BLUE)
    ]  # fmt: skip
    assert edges.asked[:3] == [("weigh", GREEN, 100), ("promote", GREEN, False), ("promote", BLUE, True)]
    assert all(later.decided_at >= one.decided_at for one, later in pairwise(switches))


def test_hosts_are_asked_as_often_as_for_switches_and_nothing_is_switched(monkeypatch: pytest.MonkeyPatch) -> None:
    edges, asked = Edges(), list[tuple[str, ...]]()
    edges.hosts = [SimpleNamespace(name="alpha"), SimpleNamespace(name="bravo")]
    monkeypatch.setattr(switching.programs, "run_host_program", lambda _, *words, **__: asked.append(words))
    assert bench(edges, monkeypatch).idle(3, 0)
    assert sorted(set(asked)) == [("alpha", "slots", "show"), ("bravo", "slots", "show")]
    assert len(asked) == 2 * (3 + 2 + 3) and edges.asked == []


def test_no_switch_begins_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(Edges(), monkeypatch, for_s=-1).switched(BLUE, GREEN, 100, 0)[1] == []
    assert len(bench(Edges(), monkeypatch, for_s=0.2).switched(BLUE, GREEN, 100, 0.05)[1]) < 10


def test_a_lock_that_is_lost_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench(edges := Edges(), monkeypatch)

    def lost() -> None:
        raise TillError("lost the lock")

    one.check = lost
    with pytest.raises(TillError, match="lost the lock"):
        one.switched(BLUE, GREEN, 4, 0)
    assert edges.asked == []


def test_only_a_lab_is_switched_to_and_fro() -> None:
    contract: Any = SimpleNamespace(stack="production", environment="production")
    with pytest.raises(UsageError, match="production is no lab"):
        switching.prepared(contract, Progress(quiet=True))


@pytest.mark.parametrize(
    ("warm", "built", "voided", "expected"),
    [
        (GREEN, True, set(), (BLUE, GREEN, BLUE)),
        (None, True, set(), ("twin", BLUE, BLUE)),
        (GREEN, False, set(), ("twin", BLUE, BLUE)),
        # What was taken back may be broken.
        (GREEN, True, {GREEN}, ("twin", BLUE, BLUE)),
    ],
)
def test_a_twin_is_deployed_where_no_good_release_is_warm(
    monkeypatch: pytest.MonkeyPatch, warm: str | None, built: bool, voided: set[str], expected: tuple[str, ...]
) -> None:
    made, deployed = list[str](), list[str]()
    monkeypatch.setattr(switching, "open_session", lambda _contract: nullcontext())
    monkeypatch.setattr(switching.slots, "read", lambda _session: {"a": Slots("blue", BLUE, warm)})
    monkeypatch.setattr(switching.release, "is_built", lambda *_: built)
    monkeypatch.setattr(switching.deploy_record, "every", lambda _stack: [])
    monkeypatch.setattr(switching.rollback, "voided", lambda _records: voided)
    monkeypatch.setattr(switching.deploy_verbs, "build_release", lambda _stack, version, *_: made.append(version))
    monkeypatch.setattr(
        switching.deploy_verbs, "deploy_release", lambda _stack, version, *_, **__: deployed.append(version)
    )
    contract: Any = SimpleNamespace(stack="lab", environment="lab")
    found = switching.prepared(contract, Progress(quiet=True))
    assert made == deployed
    assert tuple("twin" if one in made else one for one in found) == expected


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Edges:
    """Everything that the command line touches of a stack."""
    edges = Edges()
    contract: Any = SimpleNamespace(stack="lab", environment="lab", secrets={}, hosts=[])
    monkeypatch.setattr(switch.stack, "contract", lambda _name: contract)
    monkeypatch.setattr(switching, "VisitsApart", NoVisits)
    monkeypatch.setattr(switching, "prepared", lambda *_: (GREEN, BLUE, BLUE))
    monkeypatch.setattr(switching, "PEERS", {})
    monkeypatch.setattr(switch, "open_session", lambda _contract: nullcontext(SimpleNamespace(contract=contract)))
    monkeypatch.setattr(switch.redact, "of", lambda _contract: None)
    monkeypatch.setattr(switch, "change", lambda *_: nullcontext({}))
    held = SimpleNamespace(token=1, check=lambda: None)
    monkeypatch.setattr(switch.fleet_lock, "hold_fleet_lock", lambda *_: nullcontext(held))
    monkeypatch.setattr(switch, "Edges", lambda *_: edges)
    return edges


QUICK = ["--rounds", "3", "--calm-s", "0.01", "--pause-s", "0", "--peer-rounds", "0", "--json"]


def test_the_result_is_one_object_and_what_served_before_serves(lab: Edges, capsys: pytest.CaptureFixture[str]) -> None:
    assert switch.main(QUICK) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and found["switches"] == 3 and len(found["bars"]) == 3
    assert lab.serving == BLUE and lab.asked[-2:] == [("end",), ("promote", BLUE, True)]
    assert switch.main(QUICK[:-1]) == 0
    assert "3 switches" in capsys.readouterr().out


def test_a_switch_that_fails_is_told_and_what_served_before_serves(
    lab: Edges, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.breaks_at = 2
    assert switch.main(QUICK) == 1
    assert "benchmark: bravo: no" in capsys.readouterr().err
    assert lab.serving == BLUE and lab.asked[-2][0] == "end"


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--per-s", "0"], ["--calm-s", "0"], ["--peer-rounds", "-1"]])
def test_what_measures_nothing_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        switch.main(wrong)
    assert raised.value.code == 2

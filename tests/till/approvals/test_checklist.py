"""The guide's checklist: every item is there, each check can say no, what --override lifts, what a refusal names."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.till.approvals.test_signoff import MANIFEST, NOW, built, record, signed
from tests.till.conftest import contract_of, host
from till import paths
from till.approvals import checklist, facts, signoff
from till.approvals.checks import CHECKS, Unread
from till.changes import journal_head
from till.cli import approvals as approvals_cli
from till.errors import Refused, TillError
from till.observe import probe, status
from till.policy import host_policy, thresholds
from till.progress import Progress
from till.verbs import approvals
from till.verdict import Verdict

ROLES = list(thresholds()["signoff"]["roles"])
IN_A_MONTH = f"{NOW + timedelta(days=30):%b %d %H:%M:%S %Y} GMT"
HEALTH = {"sells": True, "health": {"alpha": {name: {"ok": True} for name in ("database", "directus", "paypal")}}}
GOOD: dict[str, Any] = {
    "tests": True,
    "staging": {
        "sha256": MANIFEST.sha256,
        "entries": [{"verb": "deploy", "ok": True, "sha256": MANIFEST.sha256, "at": NOW.isoformat()}],
    },
    "secrets": [],
    "journal": journal_head.Comparison("same", "all 3 entries are those whose head is kept"),
    "database": {"leader": "alpha", "faults": []},
    "certificates": {"alpha": {"not_after": IN_A_MONTH}},
    "status": [],
    "edges": {"first": False, "served": {"alpha": "v1.1.0"}},
    "directus": HEALTH,
    "paypal": HEALTH,
    "logs": "",
    "alerts": {"rules": 20, "firing": []},
    "backups": {"first": False, "age_s": 1800.0, "faults": []},
    "drill": {"first": False, "results": [{"at": NOW.timestamp() - 3600, "ok": True, "rpo_s": 5, "rto_s": 60}]},
    "window": host_policy()["policy_deployment_window"]["production"],
}
SIGNED = record(built(), *(signed(role) for role in ROLES))


def missing(environment: str, found: dict[str, Any], signoffs: signoff.Record = SIGNED) -> dict[str, str]:
    verdicts = checklist.judge(environment, found, signoffs, NOW)
    return {one.gate: one.sentence for one in verdicts if not one.passed}


def test_it_is_the_guides_and_each_item_has_somebody() -> None:
    policy = checklist.policy()
    sizes = {one["section"]: len(one["items"]) for one in policy["sections"]}
    # As many as the guide has boxes in these sections.
    guide = {
        "Code Readiness": 7, "Credentials & Configuration": 6, "Infrastructure": 6, "Team Readiness": 6,
        "Documentation": 6,
    }  # fmt: skip
    assert {section: sizes[section] for section in guide} == guide
    names = [item["item"] for item in checklist.items()]
    assert len(names) == len(set(names))
    assert {"checked_by" in item for item in checklist.items() if "signed_by" in item} == {False}
    assert {item["signed_by"] for item in checklist.items() if "signed_by" in item} == set(ROLES)
    used = {item["checked_by"] for item in checklist.items() if "checked_by" in item}
    assert used == set(policy["checks"]) == set(CHECKS) == set(GOOD)


@pytest.mark.parametrize("environment", ["lab", "staging", "production"])
def test_where_all_is_well_nothing_is_missing(environment: str) -> None:
    assert missing(environment, GOOD) == {}
    verdicts = checklist.judge(environment, GOOD, SIGNED, NOW)
    assert checklist.refusal(environment, "v1.2.0", verdicts) is None
    assert checklist.overridden(verdicts, "urgent") == {}


@pytest.mark.parametrize("environment", ["lab", "staging"])
def test_signatures_are_wanted_in_production_alone(environment: str) -> None:
    assert missing(environment, GOOD, record()) == {}
    assert len(missing("production", GOOD, record())) == sum("signed_by" in item for item in checklist.items())


DRILL = GOOD["drill"]["results"][0]
STAGED = GOOD["staging"]["entries"][0]


@pytest.mark.parametrize(
    ("check", "fact", "told"),
    [
        ("tests", False, "does not say that its tests passed"),
        ("staging", {"sha256": "00" * 32, "entries": [STAGED]}, "staging never had this artefact"),
        ("staging", {**GOOD["staging"], "entries": [STAGED, STAGED | {"ok": False, "reason": "x"}]}, "refused this"),
        (
            "staging",
            {**GOOD["staging"], "entries": [STAGED | {"at": (NOW - timedelta(days=8)).isoformat()}]},
            "passed it 8 days ago, 7 are allowed",
        ),
        ("secrets", ["paypal_client_secret"], "lacks paypal_client_secret"),
        ("journal", journal_head.Comparison("forked", "one of them was rewritten", 2), "rewritten"),
        ("journal", journal_head.Comparison("shortened", "entry 3 and those after it are gone", 3), "gone"),
        ("database", {"leader": None, "faults": []}, "no database leads"),
        ("database", {"leader": "alpha", "faults": ["the copy on ops is stopped"]}, "ops is stopped"),
        ("certificates", {}, "no edge serves a certificate"),
        ("certificates", {"alpha": {"fault": "expired"}}, "alpha: expired"),
        (
            "certificates",
            {"alpha": {"not_after": f"{NOW + timedelta(days=13):%b %d %H:%M:%S %Y} GMT"}},
            "alpha's certificate ends in 13.0 days, 14 are wanted",
        ),
        ("status", ["host bravo can't be reached"], "bravo can't be reached"),
        ("edges", {"first": False, "served": {"alpha": "v1", "bravo": None}}, "no release is served by bravo"),
        ("edges", {"first": False, "served": {}}, "by any edge"),
        (
            "directus",
            {"sells": True, "health": {"alpha": {"database": {"ok": True}}}},
            "alpha does not tell of directus",
        ),
        ("directus", {"sells": True, "health": {"alpha": {}}}, "does not tell of database"),
        ("paypal", {"sells": True, "health": {"alpha": {"paypal": {"ok": False}}}}, "alpha does not reach paypal"),
        ("logs", "the log store on ops is inactive", "inactive"),
        ("alerts", {"rules": 20, "firing": ["HostDown"]}, "firing: HostDown"),
        ("alerts", {"rules": 0, "firing": []}, "no rules"),
        ("backups", {"first": False, "age_s": None, "faults": []}, "there is no backup"),
        ("backups", {"first": False, "age_s": 3601.0, "faults": []}, "the RPO is 1.0 h"),
        ("backups", {"first": False, "age_s": 1.0, "faults": ["WAL is missing"]}, "WAL is missing"),
        ("drill", {"first": False, "results": []}, "no restore was ever drilled"),
        ("drill", {"first": False, "results": [DRILL, DRILL | {"ok": False, "reason": "x"}]}, "drill failed: x"),
        ("drill", {"first": False, "results": [DRILL | {"rto_s": 7201}]}, "rto_s was 7201"),
        ("drill", {"first": False, "results": [DRILL | {"at": NOW.timestamp() - 769 * 3600}]}, "769 h ago"),
        ("window", GOOD["window"] | {"days": ["Mon"]}, "it opens"),
    ],
)
def test_each_check_can_say_no(check: str, fact: Any, told: str) -> None:
    gone = missing("production", GOOD | {check: fact})
    theirs = {item["item"] for item in checklist.items() if item.get("checked_by") == check}
    assert set(gone) == theirs
    assert all(told in sentence for sentence in gone.values()), gone


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_what_is_not_known_does_not_pass(check: str) -> None:
    assert missing("production", GOOD | {check: Unread("host ops can't be reached")})
    assert missing("production", {name: fact for name, fact in GOOD.items() if name != check})


def test_the_first_release_has_nothing_to_lose_and_nothing_that_could_tell() -> None:
    silent = {"sells": True, "health": {"alpha": None}}
    new = {
        "edges": {"first": True, "served": {"alpha": None}}, "directus": silent, "paypal": silent,
        "backups": {"first": True, "age_s": None, "faults": ["there is none"]}, "drill": {"first": True, "results": []},
    }  # fmt: skip
    assert missing("production", GOOD | new) == {}
    # Where one was deployed before, that nothing serves is no such case.
    assert missing("production", GOOD | new | {"edges": {"first": False, "served": {"alpha": None}}})


@pytest.mark.parametrize(
    ("entries", "first"),
    [
        ([], True),
        ([("provision", True), ("deploy", False)], True),
        ([("deploy", True)], False),
        ([("deploy", True), ("down", False)], False),
        ([("deploy", True), ("down", True), ("provision", True)], True),
        ([("deploy", True), ("down", True), ("deploy", True)], False),
    ],
)
def test_first_is_since_the_stack_was_made(entries: list[tuple[str, bool]], first: bool) -> None:
    assert facts.first([{"verb": verb, "ok": ok} for verb, ok in entries]) is first


def refusal(found: dict[str, Any], signoffs: signoff.Record = SIGNED, override: str = "") -> Refused | None:
    verdicts = checklist.judge("production", found, signoffs, NOW)
    return checklist.refusal("production", "v1.2.0", verdicts, override)


def test_a_refusal_names_every_item_and_each_command_once() -> None:
    absent = record(built(), *(signed(role) for role in ROLES if role not in ("qa", "finance")))
    refused = refusal(GOOD | {"backups": {"first": False, "age_s": None, "faults": []}}, absent)
    assert refused is not None and refused.exit_code == 5
    for words in (
        "Database backups enabled",
        "Backup taken",
        "Performance testing completed",
        "Finance/Business Owner",
    ):
        assert words in refused.message
    commands = [line.strip() for line in refused.next_command.splitlines()]
    assert commands == [
        "till signoff production v1.2.0 --role qa",
        "till backup now production",
        "till signoff production v1.2.0 --role finance",
        "till checklist production v1.2.0",
    ]
    assert set(refused.facts["missing"]) == {"performance", "qa", "finance", "payment-team", "backups", "backup-taken"}


def test_an_override_lifts_window_and_signatures_and_is_told() -> None:
    late = GOOD | {"window": GOOD["window"] | {"days": ["Mon"]}}
    assert refusal(late, record()) is not None
    assert refusal(late, record(), override="PayPal asked for it") is None
    verdicts = checklist.judge("production", late, SIGNED, NOW)
    assert checklist.overridden(verdicts, "PayPal asked for it") == {
        "override": "PayPal asked for it",
        "overridden": ["window"],
    }


@pytest.mark.parametrize("check", [name for name, one in checklist.policy()["checks"].items() if one["hard"]])
def test_an_override_never_lifts_what_is_hard(check: str) -> None:
    refused = refusal(GOOD | {check: Unread("x")}, record(), override="urgent")
    assert refused is not None and "no --override lifts these" in refused.message
    by = {item["item"]: item.get("checked_by") for item in checklist.items()}
    assert {by[item] for item in refused.facts["missing"]} == {check}


def test_signatures_stay_where_policy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checklist.policy(), "override_signed", False)
    assert refusal(GOOD, record(), override="urgent") is not None


def test_a_deploy_asks_once_and_says_what_was_lifted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(override: str) -> dict[str, Any]:
        return approvals.refuse_unready(Place(), MANIFEST, "plan", override, Progress())  # type: ignore[arg-type]

    late = GOOD | {"window": GOOD["window"] | {"days": ["Mon"]}}
    verdicts = checklist.judge("production", late, SIGNED, NOW)
    monkeypatch.setattr(approvals, "judge_checklist", lambda *_: verdicts)
    with pytest.raises(Refused):
        refuse("")
    assert refuse("urgent") == {"override": "urgent", "overridden": ["window"]}
    assert "window is missing, lifted by --override: urgent" in capsys.readouterr().err


def test_every_check_has_its_fact_and_a_stack_that_is_away_passes_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Away:
        contract = contract_of(host("ops", roles=["backup_repository", "monitoring", "log_store"]))

        def ssh(self, *_words: str, timeout_s: int = 30) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess([], 255, "", "no route to host")

    def trust(_contract: object) -> None:
        raise TillError("the test CA does not tell its root")

    data = {"leader": None, "members": []}
    seen = {
        "versions": {"alpha": None},
        "database": data,
        "certificates": {},
        "faults": ["edge alpha serves no release"],
    }
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(status, "of", lambda _session: seen)
    monkeypatch.setattr(probe, "public_trust", trust)
    found = facts.read(Away(), MANIFEST)  # type: ignore[arg-type]
    assert set(found) == set(CHECKS)
    assert {name for name, fact in found.items() if isinstance(fact, Unread)} == {
        "journal",
        "logs",
        "alerts",
        "backups",
        "drill",
    }
    gone = missing("production", found)
    # Where nothing serves, the release that is to serve is no fault for it.
    assert {"journal", "monitoring", "log-aggregation", "backups", "drill", "staging-passed"} <= set(gone)
    assert found["status"] == [] and "no route to host" in gone["log-aggregation"]


def test_secrets_are_told_by_name() -> None:
    secrets = {"paypal_client_secret": "", "sentry_dsn": "", "backup_offsite_access_key": "", "x": "canary-canary"}
    assert facts.missing_secrets(contract_of(host("alpha"), secrets=secrets)) == ["paypal_client_secret"]


def test_prometheus_document_is_read() -> None:
    rules = [{"name": "HostDown", "state": "firing"}, {"name": "ClockOff", "state": "pending"}]
    assert facts.alerts({"data": {"groups": [{"rules": rules}, {"rules": []}]}}) == {"rules": 2, "firing": ["HostDown"]}


def test_the_table_has_every_item(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(approvals_cli, "Console", lambda: Console(width=250))
    verdicts = checklist.judge("lab", GOOD, SIGNED, datetime.now(UTC))
    items = list(checklist.rows("lab", verdicts))
    approvals_cli._show_checklist(
        {"version": "v1.2.0", "stack": "lab", "items": items, "next": ["till deploy lab v1.2.0"]}
    )
    shown = capsys.readouterr().out
    assert all(item["says"] in shown for item in checklist.items())
    assert "not wanted in lab" in shown and "next: till deploy lab v1.2.0" in shown


class Place:
    contract = contract_of(host("alpha"))


def test_a_deploy_waits_for_what_gets_well_by_itself_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [[Verdict(item, passed, item)] for item, passed in (("database-connections", False),) * 2 + (("x", True),)]
    waited: list[float] = []
    monkeypatch.setattr(approvals.time, "sleep", waited.append)
    left = iter(said)
    monkeypatch.setattr(approvals, "judge_checklist", lambda *_: next(left))
    assert approvals.refuse_unready(Place(), MANIFEST, "plan", "", Progress()) == {}  # type: ignore[arg-type]
    assert len(waited) == 2
    monkeypatch.setattr(
        approvals, "judge_checklist", lambda *_: [Verdict("credentials-stored", False, "one is missing")]
    )
    with pytest.raises(Refused):
        approvals.refuse_unready(Place(), MANIFEST, "plan", "", Progress())  # type: ignore[arg-type]
    assert len(waited) == 2

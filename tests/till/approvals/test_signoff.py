"""Sign-offs: who may give one, what it is bound to, how long it holds, and how it is taken back."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.till.conftest import contract_of, host, kept
from till import paths
from till.approvals import signoff
from till.changes import journal
from till.cli.main import app
from till.errors import Refused, UsageError
from till.policy import thresholds
from till.releases.release import Manifest
from till.stacks import stack
from till.verbs import approvals

LAB = contract_of(host("alpha"))
RULES: dict[str, Any] = thresholds()["signoff"]
NAMED = RULES | {"person": "name"}
MANIFEST = Manifest(
    name="storefront", version="v1.2.0", sha256="ab" * 32, size_bytes=1, source_sha256="cd" * 32,
    built_at="2026-01-05T00:00:00+00:00", start="node server.js", health_path="/api/health",
    version_path="/api/version", runtime="nodejs-22", sbom_sha256="ef" * 32, source_url="", source_commit="",
    built_with={},
)  # fmt: skip
NOW = datetime(2026, 1, 6, 22, 30, tzinfo=UTC)
DIGEST = signoff.digest(MANIFEST, "settings", "plan")


def built(by: str = "bob@laptop", **changed: Any) -> dict[str, Any]:
    at = (NOW - timedelta(days=1)).isoformat()
    return {"verb": "release build", "ok": True, "by": by, "at": at, "sha256": MANIFEST.sha256} | changed


def signed(role: str = "qa", by: str = "alice@laptop", hours_ago: float = 1, **changed: Any) -> dict[str, Any]:
    return {
        "verb": "signoff", "ok": True, "by": by, "at": (NOW - timedelta(hours=hours_ago)).isoformat(),
        "version": MANIFEST.version, "role": role, "item": "", "digest": DIGEST, "signed_by": "", "revoked": False,
        "why": "",
    } | changed  # fmt: skip


def record(*entries: dict[str, Any], digest: str = DIGEST) -> signoff.Record:
    return signoff.record(list(entries), "production", MANIFEST, digest)


def told(*entries: dict[str, Any], role: str = "qa", rules: dict[str, Any] = RULES) -> tuple[bool, str]:
    verdict = signoff.verdict(record(*entries), role, "performance", rules, NOW)
    return verdict.passed, verdict.sentence


def test_one_that_holds_says_who_and_until_when() -> None:
    assert told(built(), signed()) == (True, "alice signed as QA/Testing Lead; it holds until 2026-01-09 21:30Z")


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "QA/Testing Lead has not signed"),
        ([signed("security")], "has not signed"),
        ([signed(version="v1.1.0")], "has not signed"),
        ([signed(item="documentation")], "has not signed"),
        ([signed(hours_ago=RULES["expires_h"])], "expired 2026-01-06 22:30Z"),
        ([signed(hours_ago=-1)], "is dated in the future"),
        ([signed(digest="0" * 64)], "signed another artefact, configuration or plan (000000000000"),
        # A new digest voids earlier sign-offs, also when the old one comes back.
        ([signed(hours_ago=2), signed(digest="0" * 64)], "signed another artefact"),
        ([signed(by="bob@desktop")], "bob built it"),
        ([signed(by="Bob@laptop")], "bob built it"),
        ([signed(signed_by="Bob")], "bob built it"),
        ([signed(hours_ago=2), signed(by="carol@laptop", revoked=True, why="a leak")], "carol took it back"),
        ([signed(hours_ago=2), signed(item="performance", revoked=True)], "no reason was given"),
    ],
)
def test_what_does_not_hold(entries: list[dict[str, Any]], why: str) -> None:
    passed, sentence = told(built(), *entries)
    assert not passed and why in sentence


def test_the_last_moment_holds() -> None:
    assert told(built(), signed(hours_ago=RULES["expires_h"] - 0.001))[0]
    assert told(built(), signed(hours_ago=0))[0]


def test_after_a_revocation_it_can_be_signed_again() -> None:
    assert told(built(), signed(hours_ago=3), signed(hours_ago=2, revoked=True), signed())[0]


def test_a_revoked_item_leaves_the_roles_other_items() -> None:
    found = record(built(), signed(hours_ago=2), signed(item="performance", revoked=True))
    assert signoff.verdict(found, "qa", "qa", RULES, NOW).passed
    assert not signoff.verdict(found, "qa", "performance", RULES, NOW).passed


def test_where_nobody_is_known_to_have_built_it_no_independent_role_signs() -> None:
    for entries in ([signed()], [built(sha256="00" * 32), signed()], [built(ok=False), signed()]):
        passed, sentence = told(*entries)
        assert not passed and "nobody is known to have built it" in sentence


def test_whoever_built_it_may_sign_where_policy_lets_them() -> None:
    assert told(built(), signed("development", by="bob@laptop"), role="development")[0]


def test_an_account_that_all_share_proves_nobody_unless_policy_believes_names() -> None:
    entries = (built("root@controller"), signed(by="root@controller", signed_by="Alice"))
    assert not told(*entries)[0]
    assert told(*entries, rules=NAMED) == (
        True,
        "alice signed as QA/Testing Lead; it holds until 2026-01-09 21:30Z",
    )
    assert not told(entries[0], signed(by="root@controller"), rules=NAMED)[0]


def test_only_those_whom_policy_names_sign() -> None:
    rules = copy.deepcopy(RULES)
    rules["roles"]["qa"]["people"] = ["Carol"]
    passed, sentence = told(built(), signed(), rules=rules)
    assert not passed and "alice is not one of those who sign as QA/Testing Lead (Carol)" in sentence
    assert told(built(), signed(by="carol@laptop"), rules=rules)[0]


@pytest.mark.parametrize(
    "changed",
    [
        (MANIFEST.model_copy(update={"sha256": "00" * 32}), "settings", "plan"),
        (MANIFEST.model_copy(update={"start": "node other.js"}), "settings", "plan"),
        (MANIFEST.model_copy(update={"migrations": "contract"}), "settings", "plan"),
        (MANIFEST.model_copy(update={"runs_beside": ["v1.0.0"]}), "settings", "plan"),
        (MANIFEST, "other settings", "plan"),
        (MANIFEST, "settings", "another plan"),
        # No text can be moved from one part to the other.
        (MANIFEST, "settingsplan", ""),
    ],
)
def test_artefact_settings_and_plan_are_signed(changed: tuple[Manifest, str, str]) -> None:
    assert signoff.digest(*changed) != DIGEST


def test_when_it_was_built_and_whether_it_was_tested_is_not_signed() -> None:
    later = MANIFEST.model_copy(update={"built_at": "2026-02-01T00:00:00+00:00", "size_bytes": 2, "tests_passed": True})
    assert signoff.digest(later, "settings", "plan") == DIGEST


def test_a_new_one_is_refused_with_the_next_command() -> None:
    found = record(built())
    with pytest.raises(UsageError, match="'pm' is no role") as unknown:
        signoff.entry(found, "pm", "", "alice@laptop", "", RULES)
    assert "--role development|qa|devops|security|product|finance" in unknown.value.next_command
    with pytest.raises(Refused, match="bob built it") as same:
        signoff.entry(found, "qa", "", "bob@laptop", "", RULES)
    assert same.value.exit_code == 5 and "till signoff production v1.2.0 --role qa" in same.value.next_command
    assert signoff.entry(found, "qa", "", "alice@laptop", "Alice", RULES)["digest"] == DIGEST


def test_what_was_not_signed_is_not_revoked_and_whoever_built_it_may_revoke() -> None:
    for entries in ([], [signed("security")], [signed(revoked=True)]):
        with pytest.raises(UsageError, match="no sign-off of v1"):
            signoff.entry(record(built(), *entries), "qa", "", "bob@laptop", "", RULES, revoke=True)
    assert signoff.entry(record(built(), signed()), "qa", "", "bob@laptop", "", RULES, revoke=True)["revoked"]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release of the lab in a state of its own, built by somebody else; nothing is kept on a stack."""
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(approvals, "_kept", lambda _name: "kept")
    monkeypatch.setattr(stack, "contract", lambda _name: LAB)
    sha256 = kept(LAB, MANIFEST.model_dump(), b"{}")
    monkeypatch.setattr(journal, "account", lambda: "bob@laptop")
    journal.append(paths.journal_file("lab"), "release build", True, {"version": MANIFEST.version, "sha256": sha256})
    monkeypatch.setattr(journal, "account", lambda: "alice@laptop")
    return paths.journal_file("lab")


def test_the_verb_writes_the_journal_and_says_no_with_its_exit_code(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def till(*words: str) -> int:
        return CliRunner().invoke(app, ["signoff", "lab", MANIFEST.version, *words, "--json"]).exit_code

    assert till("--role", "qa", "--item", "performance") == 0
    assert till("--role", "qa", "--item", "performance", "--revoke", "--why", "slow") == 0
    assert till("--role", "pm") == till("--role", "qa", "--item", "cdn") == till("--role", "qa", "--item", "x") == 2
    monkeypatch.setattr(journal, "account", lambda: "bob@laptop")
    assert till("--role", "qa") == 5
    words = [entry for entry in journal.read(release) if entry["verb"] == "signoff"]
    assert [(one["by"], one["item"], one["revoked"], one["why"]) for one in words] == [
        ("alice@laptop", "performance", False, ""),
        ("alice@laptop", "performance", True, "slow"),
    ]
    assert journal.verify(release) == 3


def test_nothing_is_signed_in_a_journal_that_was_tampered_with(release: Path) -> None:
    release.write_text(release.read_text().replace("bob@laptop", "eve@laptop"))
    done = CliRunner().invoke(app, ["signoff", "lab", MANIFEST.version, "--role", "qa", "--json"])
    assert done.exit_code == 1 and "entry 1 was changed" in done.stdout

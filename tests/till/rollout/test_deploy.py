"""Whatever ends a rollout under way, a fault of Till's own included, leads everybody back at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.till.conftest import QUIET
from tests.till.rollouts import INTENTS, NEW, OLD, SESSION, manifest
from till import paths
from till.checks import serving
from till.errors import GateSaidNo, Interrupted, TillError, Unexpected
from till.platforms.vps import ship
from till.records import deploy_documents, deploy_record
from till.rollout import deploy, preview, release_watch, rollback, rollout

SECRET = "canary"


class Edges:
    """Keeps what it is asked for; where it is told to break, it does."""

    def __init__(self, broken: str = "") -> None:
        self.asked, self.broken = list[str](), broken

    def __getattr__(self, name: str) -> Any:
        def ask(*_: Any, **__: Any) -> Any:
            self.asked.append(name)
            if name == self.broken:
                raise ValueError(SECRET)
            return INTENTS

        return ask


def nothing(*_: Any, **__: Any) -> None:
    """What goes well and does nothing."""


@pytest.fixture
def edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edges:
    """A deploy's surroundings that all say yes."""
    found = Edges()
    monkeypatch.setattr(paths, "STATE", tmp_path)
    shipped = SimpleNamespace(changed={})
    for module, name, answer in (
        (deploy, "Edges", lambda *_: found), (rollback, "Edges", lambda *_: found),
        (ship, "run", lambda *_: shipped), (ship, "refuse_unshipped", nothing), (deploy.slots, "read", lambda *_: {}),
        (preview, "run", nothing), (rollout.Rollout, "go", nothing), (serving, "verify_serving", nothing),
        (release_watch, "over", nothing), (release_watch, "begin", nothing),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, answer)
    return found


def begun() -> deploy.Deploy:
    record = deploy_record.begin("lab", "deploy", "ann", NEW, old_version=OLD)
    held: Any = SimpleNamespace(token=1, check=lambda: None)
    request = deploy.DeployRequest(NEW, "canary", None, "")
    return deploy.Deploy(SESSION, request, manifest(), record, QUIET, held)


def break_at(phase: str, raised: BaseException, edges: Edges, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise raised

    if phase in ("promote", "drain"):
        edges.broken = phase
    else:
        module, name = {
            "preview": (preview, "run"),
            "steps": (rollout.Rollout, "go"),
            "prove": (serving, "verify_serving"),
        }[phase]
        monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize("phase", ["preview", "steps", "promote", "drain", "prove"])
def test_a_fault_of_ours_leads_back_at_once_and_tells_its_place_but_not_its_words(
    edges: Edges, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    break_at(phase, ValueError(SECRET), edges, monkeypatch)
    going = begun()
    with pytest.raises(Unexpected) as ended:
        going.run()
    assert edges.asked[-1] == "revert"
    assert ended.value.exit_code == 1
    assert ended.value.message.startswith(f"{NEW} was taken back, {OLD} serves: unexpected ValueError at ")
    assert "test_deploy.py" in ended.value.message and "test_deploy.py" in ended.value.lines
    assert ended.value.facts["verdict"] == "fail" and ended.value.facts["rollback_s"] is not None
    kept = deploy_record.load("lab", going.record.name)
    assert (kept.verdict, kept.reason) == ("fail", ended.value.message)
    assert SECRET not in ended.value.message + ended.value.lines + kept.reason


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (KeyboardInterrupt(), Interrupted),
        (GateSaidNo("too slow"), GateSaidNo),
        (TillError("no answer"), GateSaidNo),
        (SystemExit(7), Unexpected),
        (RecursionError(), Unexpected),
        (AssertionError(SECRET), Unexpected),
    ],
)
def test_so_does_whatever_else_ends_a_step(
    edges: Edges, monkeypatch: pytest.MonkeyPatch, raised: BaseException, kind: type[TillError]
) -> None:
    break_at("steps", raised, edges, monkeypatch)
    with pytest.raises(kind) as ended:
        begun().run()
    assert type(ended.value) is kind
    assert "revert" in edges.asked and "was taken back" in ended.value.message


def test_a_rollback_that_a_fault_of_ours_ends_is_undone_on_every_edge(
    edges: Edges, monkeypatch: pytest.MonkeyPatch
) -> None:
    edges.broken = "promote"
    record = deploy_record.begin("lab", "rollback", "ann", OLD, old_version=NEW)
    held: Any = SimpleNamespace(token=1, check=lambda: None)
    with pytest.raises(ValueError, match=SECRET):
        deploy_documents.after(
            SESSION.contract, record, lambda: rollback._lead(SESSION, record, manifest(OLD), QUIET, held)
        )
    assert edges.asked[-2:] == ["promote", "revert"]
    kept = deploy_record.load("lab", record.name)
    assert kept.verdict == "fail" and kept.reason.startswith("unexpected ValueError at ") and SECRET not in kept.reason

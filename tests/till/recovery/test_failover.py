"""How long a copy that lags is waited for: a look that is asked again, without a fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from infra.contract import Contract
from tests.till.conftest import QUIET, contract_of, host
from till import policy as policies
from till.errors import GateSaidNo
from till.hosts.session import Session
from till.recovery import failover
from till.recovery.promotion_target import NotYet, Seen

LEADS = {"name": "alpha", "role": "Leader", "state": "running", "lag_mb": None}
COPY = {"name": "bravo", "role": "Sync Standby", "state": "streaming", "lag_mb": 4.0}
LAGS = Seen("alpha", [LEADS, COPY], health={"bravo": 200})
CLOSE = replace(LAGS, members=[LEADS, {**COPY, "lag_mb": 0.1}])


class Place:
    """A session of a contract that opens no road."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Session:
    policy: dict[str, Any] = {**policies.thresholds(), "failover": {"lag_max_mb": 1, "catch_up_deadline_s": 0.05}}
    monkeypatch.setattr(failover, "thresholds", lambda: policy)
    monkeypatch.setattr(failover, "CATCH_UP_INTERVAL_S", 0.02)
    hosts = [host(name, roles=["edge", "app", "database"]) for name in ("alpha", "bravo")]
    return cast(Session, Place(contract_of(*hosts)))


def test_the_look_that_chose_is_the_one_that_counts(place: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "look", lambda _: CLOSE)
    seen, chosen = failover.target(place, LAGS, "bravo", QUIET)
    assert seen is CLOSE
    assert chosen is not None and chosen.name == "bravo"


@pytest.mark.parametrize(("answers", "waits"), [(503, True), (None, False)])
def test_an_edge_that_is_not_well_for_a_moment_is_waited_for_and_one_that_is_gone_is_not(
    place: Session, monkeypatch: pytest.MonkeyPatch, answers: int | None, waits: bool
) -> None:
    monkeypatch.setattr(failover, "look", lambda _: CLOSE)
    unwell = replace(CLOSE, health={"bravo": answers})
    if waits:
        assert failover.target(place, unwell, "bravo", QUIET)[0] is CLOSE
        return
    with pytest.raises(GateSaidNo, match="bravo answers nothing") as raised:
        failover.target(place, unwell, "bravo", QUIET)
    assert not isinstance(raised.value, NotYet)


def test_a_copy_that_stays_behind_is_refused_at_the_deadline(place: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([LAGS] * 100)
    monkeypatch.setattr(failover, "look", lambda _: next(looks))
    with pytest.raises(NotYet, match=r"bravo lags 4\.0 MB, 1 are allowed"):
        failover.target(place, LAGS, "bravo", QUIET)
    assert len(list(looks)) < 100

"""Visits of another process: what it can't do is told. That they come is seen in a fleet (test_rollout.py)."""

from __future__ import annotations

import pytest

from benchmarks.visits_apart import VisitsApart
from tests.infra.test_contract import contract_of
from till.errors import TillError


def test_a_process_that_cant_visit_ends_the_measurement(capfd: pytest.CaptureFixture[str]) -> None:
    # Its certificates are none.
    with pytest.raises(TillError, match="did not begin"), VisitsApart(contract_of("lab"), 5):
        raise AssertionError("nobody visits")
    assert "SSLError" in capfd.readouterr().err

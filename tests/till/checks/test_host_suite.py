"""The host suite: what fails at first and passes then has settled, what goes on failing is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.till.conftest import QUIET
from till.checks import host_suite
from till.errors import GateSaidNo, TillError
from till.policy import thresholds

SETTLING = """
import pathlib
import pytest
ASKED = pathlib.Path(__file__).with_name("asked")
def test_well(): pass
def test_elsewhere(): pytest.skip("not here")
@pytest.mark.parametrize("host", ["alpha", "bravo"])
def test_in_a_moment(host):
    with ASKED.open("a") as asked: asked.write(host)
    assert ASKED.read_text().count(host) > 1 or host == "alpha", f"{host} does not follow"
"""
BROKEN = (
    SETTLING
    + """
@pytest.fixture
def road(): raise OSError("no road")
def test_never(): assert 1 == 2, "it is off"
def test_unreached(road): pass
"""
)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_suite, "SUITE", str(tmp_path))
    monkeypatch.setattr(host_suite, "PAUSE_S", 0)
    monkeypatch.setitem(thresholds()["verify"], "settle_s", 30)
    return tmp_path


def test_what_fails_for_a_moment_has_settled_and_only_that_is_asked_again(suite: Path) -> None:
    (suite / "test_hosts.py").write_text(SETTLING)
    told = host_suite.run("lab", QUIET)
    settled = ["test_in_a_moment[bravo]"]
    assert told == {"passed": 3, "failed": 0, "skipped": 1, "settled": settled, "failing": []}
    assert (suite / "asked").read_text() == "alphabravobravo"


def test_what_goes_on_failing_is_told_beside_what_settled(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(thresholds()["verify"], "settle_s", 2)
    (suite / "test_hosts.py").write_text(BROKEN)
    with pytest.raises(GateSaidNo) as refused:
        host_suite.run("lab", QUIET)
    assert "2 of 6 checks failed" in str(refused.value)
    assert refused.value.facts["settled"] == ["test_in_a_moment[bravo]"]
    never, unreached = refused.value.facts["failing"]
    assert never.startswith("test_never: AssertionError: it is off")
    assert unreached.startswith("test_unreached: ") and "no road" in unreached


def test_a_suite_that_can_not_start_is_no_verdict(suite: Path) -> None:
    (suite / "test_hosts.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(TillError, match="could not start"):
        host_suite.run("lab", QUIET)
    (suite / "test_hosts.py").write_text("")
    with pytest.raises(TillError, match="could not start"):
        host_suite.run("lab", QUIET)


def test_checks_of_one_name_in_two_files_are_two(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(thresholds()["verify"], "settle_s", 0)
    for file in ("test_one.py", "test_other.py"):
        (suite / file).write_text("def test_well(): pass\ndef test_never(): assert 1 == 2, __name__\n")
    with pytest.raises(GateSaidNo) as refused:
        host_suite.run("lab", QUIET)
    told = refused.value.facts
    assert (told["passed"], told["failed"], len(told["failing"])) == (2, 2, 2)

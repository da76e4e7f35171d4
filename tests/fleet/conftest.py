"""What the fleet's tests share beside the lab itself (tests/conftest.py)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator, Iterator
from functools import cache

import pytest

from infra.contract import Contract
from tests.conftest import STACK, till, till_begun
from till.paths import log_dir

# A user pays once a second at most; a new user each time keeps tests apart from the limit.
PAYMENT_INTERVAL_S = 1.1

__all__ = ["PAYMENT_INTERVAL_S", "STACK", "container", "inside", "till", "till_begun"]


@cache
def container(host: str) -> str:
    """The lab's container of a host, by the labels that Pulumi's provider gave it."""
    from infra.lab import identity

    labels = {identity.LABEL_LAB: identity.lab_id(STACK), identity.LABEL_STACK: STACK}
    filters = [part for label, value in labels.items() for part in ("--filter", f"label={label}={value}")]
    shown = subprocess.run(
        ["docker", "ps", "--all", "--format", "{{.Names}}", *filters],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return next(name for name in shown if name.endswith(f"-{host}"))


def inside(host: str, command: str) -> str:
    """What a command said on a host of the lab, run as root there; its failure tells what it complained of."""
    try:
        return subprocess.run(
            ["docker", "exec", container(host), "sh", "-c", command], capture_output=True, text=True, check=True
        ).stdout
    except subprocess.CalledProcessError as failed:
        failed.add_note(failed.stderr)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the hosts' programs said while a test failed: whole beside the other logs, the ends in the report."""
    report = yield
    if report.failed and call.when != "teardown":
        journals = list(what_hosts_said(item.name, call.start))
        report.sections.append(("What hosts said", "\n".join(journals)))
    return report


def what_hosts_said(test: str, since: float) -> Iterator[str]:
    """The end of what each host's own programs said since then, after all of its journal is written to a log."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", test)[:80]
    journal = f"journalctl --no-pager -o short-precise --since @{int(since)}"
    for host in ("alpha", "bravo", "ops", "outside"):
        try:
            (log_dir() / f"failed-{STACK}-{name}-{host}.log").write_text(inside(host, journal))
            ours = inside(host, f"{journal} -u 'till-*' -u patroni | tail -n 6").splitlines()
        except (subprocess.CalledProcessError, StopIteration):
            ours = ["does not run"]
        yield from (f"{host}: {line[:200]}" for line in ours)


@pytest.fixture(scope="module")
def unwatched(lab: Contract) -> Iterator[None]:
    """After a file's last deploy nobody watches it: later tests break the fleet, and a watch might answer to that."""
    yield
    # 2: nobody watches.
    assert till("watch", STACK, "--end")[0] in (0, 2)


@pytest.fixture(scope="module")
def led_home(lab: Contract) -> Iterator[None]:
    """After a file's last test the first site leads again."""
    from tests.fleet.database import home

    yield
    home(lab)


@pytest.fixture
def before(lab: Contract, led_home: None) -> Iterator[str]:
    """The leading host of a fleet that is well; it is so again after the test."""
    from tests.fleet.database import well_again, well_led

    yield well_led(lab)
    well_again(lab)


@pytest.fixture(scope="module")
def twin(lab: Contract, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release that is as good as the one that serves."""
    from tests.fleet.variants import variant

    return variant(tmp_path_factory.mktemp("twin"), "")


@pytest.fixture
def served(lab: Contract) -> Iterator[None]:
    """The built release serves before the test, and again after it."""
    from tests.fleet.deploys import serve_built

    serve_built(lab)
    yield
    serve_built(lab)

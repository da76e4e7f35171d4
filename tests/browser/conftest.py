"""Chromium on a stack's public names, trusting the stack's own keys, each test in a profile of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from infra.contract import Contract
from tests.conftest import STACK
from till.checks import purchase
from till.paths import CHECKOUT
from till.stacks import stack
from till.verbs import browse

WAIT_MS = 20_000
expect.set_options(timeout=WAIT_MS)
RESULTS = CHECKOUT / "test-results"
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A proxy of this machine has no road to a stack's addresses.
    "--no-proxy-server",
)


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest) -> Contract:
    """The stack in $TILL_STACK, which must be up; without one the lab, which is brought up where it is not there."""
    name = os.environ.get("TILL_STACK") or STACK
    contract: Contract = request.getfixturevalue("lab") if name == STACK else stack.contract(name)
    # Before anything is bought: a stack without a simulator would take real money, or wait for a person.
    assert purchase.approves(contract), f"stack {name} has no PayPal simulator, so no browser test buys there"
    return contract


@pytest.fixture(scope="module")
def chromium(shop: Contract) -> Iterator[Browser]:
    """A browser told what `till browse` tells a person's browser: the same names, the same keys."""
    path = browse.chromium()
    # Playwright has a folder of its own, and opens pages itself.
    words = [word for word in browse.command(shop, path, "unused")[1:-1] if not word.startswith("--user-data-dir=")]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=[*words, *QUIET])
        yield started
        started.close()


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty profile's page; how it looked at the end is kept, and a fault in a script fails the test."""
    faults: list[str] = []
    context = chromium.new_context(viewport={"width": 1100, "height": 800})
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    opened.on("pageerror", lambda fault: faults.append(str(fault)))
    yield opened
    RESULTS.mkdir(exist_ok=True)
    opened.screenshot(path=RESULTS / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower()).strip('-')}.png")
    context.close()
    assert faults == []

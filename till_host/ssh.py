"""Questions to other hosts' programs by SSH, with a key that may ask for a few words there and nothing else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from till_host.faults import Fault

Answer = TypeVar("Answer")


def ask(settings: str, host: str, *words: str, timeout_s: float) -> dict[str, Any]:
    """The JSON object that a host answers; `settings` is ssh's file. Raises Fault with the host's own words."""
    asked = " ".join(words[:2])
    try:
        done = subprocess.run(
            ["ssh", "-F", settings, host, " ".join(words)],
            capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Fault(f"{host}: no answer to {asked} within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise Fault(f"{host}: {done.stderr.strip()[-400:] or f'{asked} ended with {done.returncode}'}")
    try:
        return dict(json.loads(done.stdout))
    except (ValueError, TypeError):
        raise Fault(f"{host}: {asked} answered no JSON") from None


def at_once(hosts: Iterable[str], call: Callable[[str], Answer]) -> dict[str, Answer | Fault]:
    """One call to many hosts at the same time; an answer or the Fault of each."""

    def one(host: str) -> Answer | Fault:
        try:
            return call(host)
        except Fault as reason:
            return reason

    asked = list(hosts)
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        return dict(zip(asked, pool.map(one, asked), strict=True))


def faults(answers: dict[str, Any]) -> str:
    """What went wrong, in a sentence; empty when nothing did."""
    return "; ".join(str(one) for one in answers.values() if isinstance(one, Fault))

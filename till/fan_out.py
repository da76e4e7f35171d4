"""One question to many at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar


class Named(Protocol):
    """Whoever is asked: a host, a nameserver."""

    @property
    def name(self) -> str: ...


Answer = TypeVar("Answer")
Asked = TypeVar("Asked", bound=Named)


def at_once(ask: Callable[[Asked], Answer], hosts: Iterable[Asked]) -> dict[str, Answer]:
    """One question to many at the same time; answers by the name of who was asked."""
    from concurrent.futures import ThreadPoolExecutor

    asked = list(hosts)
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        return dict(zip((host.name for host in asked), pool.map(ask, asked), strict=True))

"""Slots of a fleet of hosts: all edges at once, over SSH. What one edge can't do, none does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.contract import Host, Role
from till.errors import HostUnreachable, TillError
from till.fan_out import at_once
from till.hosts import programs
from till.hosts.session import Session

TIMEOUT_S = 30
DRAIN_TIMEOUT_S = 60
AGAIN_S = 1.0


@dataclass(frozen=True)
class Intent:
    """A host's slot that serves and the one that shall; `cookie` leads to that one before any traffic does."""

    old_slot: str | None
    new_slot: str
    version: str
    cookie: str

    @property
    def moves(self) -> bool:
        """Whether the new release does not serve there yet."""
        return self.old_slot != self.new_slot

    @property
    def beside(self) -> bool:
        """Whether both releases can share the traffic there."""
        return self.moves and self.old_slot is not None


class Edges:
    """The edges of a stack. Each call is one command on each of them, at the same time.

    `token`: of the change that calls; a host that a newer change has written to refuses it (docs/adr/0020).
    """

    def __init__(self, session: Session, token: int) -> None:
        self._session, self._fence = session, f"--fence={token}"
        self.hosts = [host for host in session.contract.hosts if Role.EDGE in host.roles]

    def end(self) -> None:
        """End what a change that was killed has left: a try of a release beside the one that serves."""
        self._refuse(self._all(lambda _host: ["end", self._fence], self.hosts))

    def intend(self, version: str = "", slot: str = "") -> dict[str, Intent]:
        """Note where to, when the release answers there; raises before anything else was changed."""
        asked = self._all(lambda _host: ["intend", self._fence, f"--version={version}", f"--slot={slot}"], self.hosts)
        self._refuse(asked)
        return {
            name: Intent(one["from"], one["to"], str(one["version"]), str(one["cookie"]))
            for name, one in asked.items()
            if isinstance(one, dict)
        }

    def weigh(self, intents: dict[str, Intent], percent: int, lease_s: float) -> None:
        """Give the new release so much of the traffic until the lease is over; raises when an edge did not."""
        hosts = [host for host in self.hosts if intents[host.name].beside]
        words = (str(percent), f"{lease_s:g}")
        self._refuse(self._all(lambda host: ["weigh", self._fence, intents[host.name].new_slot, *words], hosts))

    def promote(self, intents: dict[str, Intent], drop: bool = False) -> None:
        """Lead all traffic to the new release for good; raises when an edge did not. `drop`: checkouts, too."""
        how = ["--drop"] if drop else []
        self._refuse(self._all(lambda host: ["switch", self._fence, intents[host.name].new_slot, *how], self.hosts))

    def revert(self, intents: dict[str, Intent], patience_s: float = 0) -> None:
        """Lead all traffic to the old release, that of checkouts on the new one too. Asks every edge before it raises.

        An edge that refuses is asked again for so long: its host may be starting. One that is not reached returns by
        itself when its lease is over, unless the new one leads there for good.
        """
        hosts, deadline = [host for host in self.hosts if intents[host.name].moves], time.monotonic() + patience_s
        while True:
            told = self._all(
                lambda host: ["switch", self._fence, intents[host.name].old_slot or "none", "--drop"], hosts
            )
            away = any(isinstance(one, HostUnreachable) for one in told.values())
            hosts = [host for host in hosts if isinstance(told[host.name], TillError)]
            if not hosts or away or time.monotonic() > deadline:
                return self._refuse(told)
            time.sleep(AGAIN_S)

    def drain(self) -> None:
        """Wait until slots without traffic have ended their requests."""
        self._refuse(self._all(lambda _host: ["drain"], self.hosts, DRAIN_TIMEOUT_S))

    def _all(
        self, words: Callable[[Host], list[str]], hosts: list[Host], timeout_s: int = TIMEOUT_S
    ) -> dict[str, dict[str, Any] | TillError]:
        again = f"till status {self._session.contract.stack}"

        def one(host: Host) -> dict[str, Any] | TillError:
            try:
                told: dict[str, Any] = programs.run_host_program(
                    self._session, host.name, "slots", *words(host), timeout_s=timeout_s, next_command=again
                )
            except TillError as reason:
                return reason
            return told

        return at_once(one, hosts)

    @staticmethod
    def _refuse(asked: dict[str, dict[str, Any] | TillError]) -> None:
        wrong = [one for one in asked.values() if isinstance(one, TillError)]
        if wrong:
            kind = HostUnreachable if any(isinstance(one, HostUnreachable) for one in wrong) else TillError
            raise kind("; ".join(one.message for one in wrong), wrong[0].next_command)

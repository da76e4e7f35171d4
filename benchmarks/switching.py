"""Switches on a lab that is up: both slots hold releases, and all traffic is led from one to the other and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import nginx_peer
from benchmarks.switch_outcome import Switch
from benchmarks.visits import Visit
from benchmarks.visits_apart import VisitsApart
from infra.contract import Contract, Host, Role
from till.errors import TillError, UsageError
from till.fan_out import at_once
from till.hosts import programs
from till.hosts.session import Session, open_session
from till.platforms.vps import slots
from till.platforms.vps.edges import TIMEOUT_S, Edges
from till.platforms.vps.slots import Slots
from till.policy import thresholds
from till.progress import Progress
from till.public_dns import lookup
from till.records import deploy_record
from till.releases import release
from till.rollout import rollback
from till.verbs import deploy as deploy_verbs

RESTART = "systemctl restart app@$(/opt/till-host/current/bin/slots show | {python})"
ACTIVE = "/usr/bin/python3 -c \"import json, sys; print(json.load(sys.stdin)['active'])\""
# What other ways to change what serves cost, beside a switch: a command for the host that names lead to.
PEERS = {
    "systemctl restart of the app": RESTART.format(python=ACTIVE),
    "systemctl reload haproxy": "systemctl reload haproxy",
}
# So much of the switches is done once more without switching.
IDLE_PART = 2
IDLE = "hosts asked as often, nothing switched"
NGINX = "nginx reload to the other slot"
PEER_TIMEOUT_S = 90
SETTLE_S = 5.0


def pair(found: dict[str, Slots]) -> tuple[str | None, str | None]:
    """The release that serves on all hosts, and another one that is warm on all of them. Pure."""
    served = {one.serving for one in found.values()}
    if len(served) != 1 or None in served:
        return None, None
    others = set[str | None].intersection(*({one.blue, one.green} - served - {None} for one in found.values()))
    return served.pop(), next(iter(others), None)


def prepared(contract: Contract, progress: Progress) -> tuple[str, str, str]:
    """A release that serves, one that is warm, and the one of both that served before this was called.

    Where none is warm the storefront is deployed a second time, as a release of its own.

    Raises UsageError for what is no lab, TillError where hosts serve nothing or different releases.
    """
    stack = contract.stack
    if contract.environment != "lab":
        raise UsageError(f"stack {stack} is no lab: its customers would be switched to and fro", "till status lab")
    with open_session(contract) as session:
        serving, warm = pair(slots.read(session))
    if not serving:
        raise TillError(f"hosts of {stack} serve no release, or not the same", f"till status {stack}")
    # A release that was taken back may be warm still, and may be broken.
    if not warm or not release.is_built(stack, warm) or warm in rollback.voided(deploy_record.every(stack)):
        twin = f"v1.0.{int(time.time())}-switch"
        deploy_verbs.build_release(stack, twin, str(deploy_verbs.STOREFRONT), progress)
        deploy_verbs.deploy_release(stack, twin, progress, bake_s=0)
        return twin, serving, serving
    return serving, warm, serving


@dataclass
class Bench:
    """`check` raises when the stack's lock is lost; `deadline`: when no further switch begins (monotonic, s)."""

    session: Session
    edges: Edges
    check: Callable[[], None]
    per_s: float
    deadline: float

    def visited(self, for_s: float) -> list[Visit]:
        """Visits while nothing is changed."""
        with VisitsApart(self.session.contract, self.per_s, limit_s=for_s + 1) as visits:
            time.sleep(for_s)
        return visits.all

    def switched(self, serving: str, warm: str, rounds: int, pause_s: float) -> tuple[list[Visit], list[Switch]]:
        """Switches to and fro under visits; ends early at the deadline."""
        switches = list[Switch]()
        limit_s = max(1.0, self.deadline - time.monotonic()) + PEER_TIMEOUT_S
        with VisitsApart(self.session.contract, self.per_s, limit_s=limit_s) as visits:
            time.sleep(pause_s)
            while len(switches) < rounds and time.monotonic() < self.deadline:
                self.check()
                switches.append(self.switch(serving, warm, back=len(switches) % 2 == 1))
                serving, warm = warm, serving
                time.sleep(pause_s)
        return visits.all, switches

    def switch(self, left: str, to: str, back: bool) -> Switch:
        """As a deploy does it, or as a rollback; both are asked first whether the release can serve."""
        intents = self.edges.intend(version=to)
        decided_at, began = time.time(), time.monotonic()
        if not back:
            self.edges.weigh(intents, 100, thresholds()["rollout"]["lease_s"])
        self.edges.promote(intents, drop=back)
        return Switch("rollback" if back else "deploy", left, to, decided_at, round(time.monotonic() - began, 3))

    def idle(self, rounds: int, pause_s: float) -> list[Visit]:
        """Visits while hosts are asked as often as for so many switches and nothing is switched: what asking costs."""
        again = f"till status {self.session.contract.stack}"

        def ask(host: Host) -> None:
            programs.run_host_program(self.session, host.name, "slots", "show", timeout_s=TIMEOUT_S, next_command=again)

        with VisitsApart(self.session.contract, self.per_s, limit_s=PEER_TIMEOUT_S + rounds * (pause_s + 2)) as visits:
            time.sleep(pause_s)
            for number in range(rounds):
                if time.monotonic() > self.deadline:
                    break
                self.check()
                # A deploy asks three times, a rollback twice.
                for _ in range(3 - number % 2):
                    at_once(ask, self.edges.hosts)
                time.sleep(pause_s)
        return visits.all

    def peers(self, rounds: int) -> Iterator[tuple[str, list[Visit]]]:
        """By name the visits while something else than a switch is done, so many times, where names lead to."""
        for name, command in PEERS.items():
            yield name, self.peer(command, rounds)
        if rounds:
            with nginx_peer.beside(self.session, self.led_to()) as command:
                yield NGINX, self.peer(command, rounds, nginx_peer.PORT)

    def led_to(self) -> str:
        """The host that names lead to."""
        contract = self.session.contract
        address = lookup.resolve(contract, contract.names.shop)[0]
        return next(one.name for one in contract.hosts if one.address == address and Role.EDGE in one.roles)

    def peer(self, command: str, rounds: int, port: int = 443) -> list[Visit]:
        """Visits while a command runs, so many times, on the host that names lead to."""
        contract, found = self.session.contract, list[Visit]()
        for _ in range(rounds):
            if time.monotonic() > self.deadline:
                break
            self.check()
            with VisitsApart(contract, self.per_s, limit_s=PEER_TIMEOUT_S + 2 * SETTLE_S, port=port) as visits:
                time.sleep(1)
                host = self.led_to()
                done = self.session.ssh(host, command, timeout_s=PEER_TIMEOUT_S)
                if done.returncode:
                    raise TillError(f"{host}: {command}: {done.stderr.strip()[-300:]}")
                self.answered_again(visits)
            found += visits.all
        return found

    def answered_again(self, visits: VisitsApart) -> None:
        """Wait until visits are answered well for a while; raises TillError at the deadline."""
        deadline = time.monotonic() + PEER_TIMEOUT_S
        while time.monotonic() < deadline:
            time.sleep(SETTLE_S)
            late = [one for one in visits.all if one.at > time.time() - SETTLE_S / 2]
            if late and all(one.status == 200 for one in late):
                return
        raise TillError("the shop does not answer any more", f"till status {self.session.contract.stack}")

    def home(self, version: str) -> None:
        """The release that served before serves again."""
        self.edges.end()
        self.edges.promote(self.edges.intend(version=version), drop=True)

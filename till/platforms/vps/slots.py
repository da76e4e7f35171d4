"""What the slots of each app host hold, as the hosts themselves have written it down."""

from __future__ import annotations

import json
from dataclasses import dataclass

from infra.contract import Host, Role
from till.errors import TillError
from till.fan_out import at_once
from till.hosts import programs
from till.hosts.session import Session

STATE_FILE = "/var/lib/till/slots.json"
# The shell's words where there is no such file yet.
MISSING = "No such file"


@dataclass(frozen=True)
class Slots:
    """One host: the slot that serves, and the release in each; None is nothing."""

    active: str | None = None
    blue: str | None = None
    green: str | None = None

    @property
    def serving(self) -> str | None:
        """The release that serves."""
        return {"blue": self.blue, "green": self.green}.get(self.active or "")


def parse(text: str) -> Slots:
    """A state file; unknown keys are the hosts' own."""
    found = json.loads(text)
    return Slots(found.get("active"), found.get("blue"), found.get("green"))


def read(session: Session) -> dict[str, Slots]:
    """Every app host's slots; raises HostUnreachable naming those that can't be asked."""

    def one(place: Host) -> Slots:
        host = place.name
        answer = session.ssh(host, f"cat {STATE_FILE}")
        programs.require_reached(host, answer.returncode, answer.stderr, f"till status {session.contract.stack}")
        if answer.returncode != 0:
            if MISSING in answer.stderr:
                return Slots()
            raise TillError(f"host {host}: {STATE_FILE} can't be read: {answer.stderr.strip()[-600:]}")
        return parse(answer.stdout)

    return at_once(one, [host for host in session.contract.hosts if Role.APP in host.roles])


def before_all(found: dict[str, Slots]) -> tuple[str | None, str | None]:
    """Slot and release that all hosts serve from. They are None when hosts differ, so that nothing is guessed."""
    serving = {(one.active, one.serving) for one in found.values()}
    return serving.pop() if len(serving) == 1 else (None, None)

"""Whether a stack's preferred site may lead again by itself, as people said last; hosts remember it in etcd."""

from __future__ import annotations

from till import host_program, successor
from till.errors import TillError
from till.progress import Progress
from till.thresholds import thresholds
from till.workplace import Workplace


def hold(workplace: Workplace, host: str, site: str, progress: Progress) -> None:
    """From now on nothing goes back by itself: a person moves the leader to a site."""
    _remember(workplace, host, progress, "hold", f"a person moved the leader to site {site}")


def decided(workplace: Workplace, host: str, site: str, progress: Progress) -> None:
    """A person wants the leader at this site: at the preferred one everything is as at first, elsewhere it is held."""
    if site == successor.preferred(workplace.contract):
        _remember(workplace, host, progress, "release")
    else:
        hold(workplace, host, site, progress)


def _remember(workplace: Workplace, host: str, progress: Progress, *words: str) -> None:
    """Never raises: a move does not depend on it, and what could not be remembered is said."""
    try:
        host_program.ask(
            workplace, host, "failback", *words,
            timeout_s=thresholds()["failover"]["remember_deadline_s"],
            next_command=f"till status {workplace.contract.stack}",
        )  # fmt: skip
    except TillError as reason:
        progress.say(f"{host} could not remember who decides on a failback: {reason.message}")

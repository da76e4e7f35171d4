"""Whether a stack's preferred site may lead again by itself, as people said last; hosts remember it in etcd."""

from __future__ import annotations

from till import host_program
from till.errors import TillError
from till.progress import Progress
from till.thresholds import thresholds
from till.workplace import Workplace

ELSEWHERE = "a person moved the leader to site {site}"


def remember(workplace: Workplace, host: str, site: str, preferred: bool, progress: Progress) -> None:
    """With a planned move: away from the preferred site nothing goes back by itself, at it everything is as at first.

    Never raises: a move does not depend on it, and what could not be remembered is said.
    """
    words = ["release"] if preferred else ["hold", ELSEWHERE.format(site=site)]
    try:
        host_program.ask(
            workplace, host, "failback", *words,
            timeout_s=thresholds()["failover"]["remember_deadline_s"],
            next_command=f"till status {workplace.contract.stack}",
        )  # fmt: skip
    except TillError as reason:
        progress.say(f"{host} could not remember who decides on a failback: {reason.message}")

"""Whether a stack's preferred site may lead again by itself, as people said last; hosts remember it in etcd."""

from __future__ import annotations

from infra.contract import Role
from till.errors import TillError
from till.hosts import programs
from till.hosts.session import Session
from till.policy import thresholds
from till.progress import Progress
from till.recovery import promotion_target


def hold(session: Session, site: str, progress: Progress) -> None:
    """From now on nothing goes back by itself: a person moves the leader to a site."""
    _remember(session, site, progress, "hold", f"a person moved the leader to site {site}")


def remember_decision(session: Session, site: str, progress: Progress) -> None:
    """A person wants the leader at this site: at the preferred one everything is as at first, elsewhere it is held."""
    if site == promotion_target.preferred(session.contract):
        _remember(session, site, progress, "release")
    else:
        hold(session, site, progress)


def _remember(session: Session, site: str, progress: Progress, *words: str) -> None:
    """Said to a host of the site, else to any other with a database; all hosts read the same.

    Never raises: a move does not depend on it, and what could not be remembered is said.
    """
    asked = [host for host in session.contract.hosts if Role.DATABASE in host.roles]
    reasons = []
    for host in sorted(asked, key=lambda one: one.site != site):
        try:
            programs.run_host_program(
                session, host.name, "failback", *words,
                timeout_s=thresholds()["failover"]["remember_deadline_s"],
                next_command=f"till status {session.contract.stack}",
            )  # fmt: skip
        except TillError as reason:
            reasons.append(reason.message)
        else:
            return
    progress.say(f"no host could remember who decides on a failback: {'; '.join(reasons)}")

"""Where things stand in a lab, by its contract: hosts of a kind, their sites and addresses."""

from __future__ import annotations

from infra.contract import Contract, Host, Role


def host(lab: Contract, name: str) -> Host:
    return next(one for one in lab.hosts if one.name == name)


def address(lab: Contract, name: str) -> str:
    return host(lab, name).address


def site_of(lab: Contract, name: str) -> str:
    return host(lab, name).site


def edges(lab: Contract) -> list[str]:
    """Hosts with an edge; the first one's site is the preferred one."""
    return [one.name for one in lab.hosts if Role.EDGE in one.roles]


def first(lab: Contract) -> str:
    return edges(lab)[0]


def other_edge(lab: Contract, name: str) -> str:
    """The next host with an edge that is not this one."""
    return next(edge for edge in edges(lab) if edge != name)


def copies(lab: Contract, but: str = "") -> list[str]:
    """Hosts with a copy of the database, without this one."""
    return [one.name for one in lab.hosts if Role.DATABASE in one.roles and one.name != but]

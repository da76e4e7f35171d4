"""What settings say about each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from infra import credentials
from infra.contract import OUTSIDE_ROLES, Role
from infra.formats import KEYSCAN
from infra.problem import Problem

if TYPE_CHECKING:
    from infra.settings import HostSettings, OutsideSettings, Settings

LIVE_ONLY = "production"


def problems(stack: str, settings: Settings, secret_keys: Collection[str]) -> list[Problem]:
    """Every contradiction between settings that are each well-formed."""
    return [
        *_environment(stack, settings),
        *_names(settings),
        *_hosts(stack, settings),
        *credentials.paypal(stack, settings, secret_keys),
        *credentials.offsite(stack, settings, secret_keys),
        *credentials.channels(stack, settings, secret_keys),
        *credentials.dns_provider(stack, settings, secret_keys),
        *_provided_zone(stack, settings),
        *_certificates(settings),
    ]


def _environment(stack: str, settings: Settings) -> Iterator[Problem]:
    mode, environment = settings.paypal_mode, settings.environment
    if environment == LIVE_ONLY and mode != "live":
        yield Problem(
            "paypalMode",
            mode,
            "production takes real payments only",
            f"pulumi config set till:paypalMode live -s {stack}",
        )
    if environment != LIVE_ONLY and mode == "live":
        yield Problem(
            "paypalMode",
            mode,
            f"{environment} must never take real payments",
            f"pulumi config set till:paypalMode sandbox -s {stack}",
        )
    if environment == LIVE_ONLY and settings.outside is not None:
        yield Problem(
            "outside",
            settings.outside.name,
            "nothing plays the world outside in production",
            f"pulumi config rm till:outside -s {stack}",
        )
    if mode == "simulator" and settings.outside is None and environment != LIVE_ONLY:
        yield Problem(
            "outside",
            None,
            "paypalMode simulator needs the host that runs the simulator",
            "set till:outside in the stack file, or paypalMode to sandbox",
        )


def _names(settings: Settings) -> Iterator[Problem]:
    for key, name in (
        ("shopName", settings.shop_name),
        ("adminName", settings.admin_name),
        ("apiName", settings.api_name),
    ):
        if name != settings.zone and not name.endswith(f".{settings.zone}"):
            yield Problem(
                key,
                name,
                f"outside of the zone {settings.zone}, which the stack's nameservers serve",
                f"pulumi config set till:{key} NAME.{settings.zone}",
            )


def _provided_zone(stack: str, settings: Settings) -> Iterator[Problem]:
    if settings.dns_provider is None:
        return
    if settings.dnssec:
        reason = "the zone is the provider's to sign, and till:dnsProvider names one"
        yield Problem("dnssec", True, reason, f"pulumi config set till:dnssec false -s {stack}")
    for position, host in enumerate(settings.hosts):
        if Role.EDGE in host.roles and ":" in (host.address or ""):
            reason = "an edge's IPv6 address, and names at a provider are A records"
            yield Problem(f"hosts[{position}].address", host.address, reason, f"edit till:hosts in Pulumi.{stack}.yaml")


def _hosts(stack: str, settings: Settings) -> Iterator[Problem]:
    edit = f"edit till:hosts in Pulumi.{stack}.yaml"
    every: list[HostSettings | OutsideSettings] = [*settings.hosts, *([settings.outside] if settings.outside else [])]
    yield from _places(stack, settings.environment == "lab", every)
    for position, host in enumerate(settings.hosts):
        place = f"hosts[{position}]"
        if Role.EDGE in host.roles and Role.APP not in host.roles:
            yield Problem(
                f"{place}.roles",
                [str(role) for role in host.roles],
                "an edge host must also have the role app (docs/adr/0007)",
                edit,
            )
        if foreign := sorted(OUTSIDE_ROLES & set(host.roles)):
            yield Problem(f"{place}.roles", [str(role) for role in foreign], "these belong to till:outside only", edit)
        if len(set(host.roles)) != len(host.roles):
            yield Problem(f"{place}.roles", [str(role) for role in host.roles], "a role stands there twice", edit)
    for role in (Role.EDGE, Role.APP, Role.DATABASE, Role.NAMESERVER, Role.BACKUP_REPOSITORY):
        if not any(role in host.roles for host in settings.hosts):
            yield Problem("hosts", None, f"no host has the role {role}", edit)
    members = [host.name for host in settings.hosts if Role.ETCD in host.roles]
    if len(members) % 2 == 0:
        yield Problem(
            "hosts", members, f"{len(members)} etcd members; an odd number of at least one is needed for a quorum", edit
        )


def _places(stack: str, made_here: bool, every: list[HostSettings | OutsideSettings]) -> Iterator[Problem]:
    edit = f"edit till:hosts in Pulumi.{stack}.yaml"
    names: dict[str, str] = {}
    sockets: dict[tuple[str, int], str] = {}
    for position, host in enumerate(every):
        place = "outside" if host.name == "outside" else f"hosts[{position}]"
        if host.name in names:
            yield Problem(f"{place}.name", host.name, f"the name of {names[host.name]}, too", edit)
        names.setdefault(host.name, place)
        if made_here:
            if host.address or host.host_key:
                yield Problem(
                    f"{place}.address", host.address, "Pulumi makes a lab's hosts and chooses their addresses", edit
                )
            continue
        for key, value, following in (("address", host.address, edit), ("hostKey", host.host_key, KEYSCAN)):
            if value is None:
                yield Problem(f"{place}.{key}", None, f"missing for host {host.name}", following)
        if host.address:
            first = sockets.setdefault((host.address, host.port), host.name)
            if first != host.name:
                yield Problem(
                    f"{place}.address", f"{host.address}:{host.port}", f"the place of host {first}, too", edit
                )


def _certificates(settings: Settings) -> Iterator[Problem]:
    days, renew = settings.host_certificate_days, settings.host_certificate_renew_days
    if renew >= days:
        yield Problem(
            "hostCertificateRenewDays",
            renew,
            f"not below hostCertificateDays ({days}): certificates would be renewed for ever",
            "pulumi config set till:hostCertificateRenewDays 30",
        )
    if days >= settings.internal_ca_days:
        yield Problem(
            "internalCaDays",
            settings.internal_ca_days,
            f"not above hostCertificateDays ({days})",
            "pulumi config set till:internalCaDays 3650",
        )

"""The hosts of a stack: made as containers in a lab, taken as they are elsewhere. Both have the same outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pulumi

from infra.contract import OUTSIDE_ROLES, Role
from infra.lab import identity
from infra.lab.host import LabHost
from infra.lab.network import LabNetwork
from infra.lab.ssh_key import SshKey
from infra.settings import AnyHost, HostSettings, OutsideSettings

OUTSIDE_SITE = "outside"


@dataclass(frozen=True)
class HostFacts:
    """A host as the contract wants it; what only a made host knows is an output."""

    name: str
    site: str
    roles: tuple[Role, ...]
    user: str
    port: int
    address: pulumi.Output[str]
    host_key: pulumi.Output[str]


@dataclass(frozen=True)
class ExistingHostsArgs:
    hosts: tuple[HostSettings, ...]
    outside: OutsideSettings | None


class ExistingHosts(pulumi.ComponentResource):
    """Hosts that somebody rented: nothing is made, the facts are the settings' own."""

    facts: dict[str, HostFacts]

    def __init__(self, name: str, args: ExistingHostsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("till:hosts:ExistingHosts", name, None, opts)
        self.facts = {host.name: _given(host) for host in _every(args.hosts, args.outside)}
        self.register_outputs({"names": list(self.facts)})


@dataclass(frozen=True)
class LabHostsArgs:
    """`lab`: the id that makes names unique on this machine; `https_port` leads to the first edge host."""

    hosts: tuple[HostSettings, ...]
    outside: OutsideSettings | None
    lab: str
    subnet: str
    https_port: str
    image: str
    memory_mb: int


class LabHosts(pulumi.ComponentResource):
    """Containers on a network of their own, and the key pair that opens them."""

    facts: dict[str, HostFacts]
    private_key: pulumi.Output[str]
    https_port: pulumi.Output[str]

    def __init__(self, name: str, args: LabHostsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("till:hosts:LabHosts", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stack = pulumi.get_stack()
        key = SshKey(f"{name}-ssh", comment=f"till {stack}", opts=child)
        network = LabNetwork(
            f"{name}-network", lab=args.lab, stack=stack, subnet=args.subnet, https_port=args.https_port, opts=child
        )
        every = _every(args.hosts, args.outside)
        names = tuple(host.name for host in every)
        published = next((host.name for host in args.hosts if Role.EDGE in host.roles), None)
        self.facts = {}
        for host in every:
            place = network.cidr.apply(partial(identity.address, host=host.name, hosts=names))
            made = LabHost(
                f"{name}-{host.name}",
                {
                    "container": identity.container_name(args.lab, host.name),
                    "lab": args.lab,
                    "stack": stack,
                    "hostname": host.name,
                    "network": network.id,
                    "address": place,
                    "image": args.image,
                    "memory_mb": str(args.memory_mb),
                    "publish": network.published_port if host.name == published else "0",
                    "user": host.user,
                    "authorized_key": key.public_key,
                },
                child,
            )
            self.facts[host.name] = HostFacts(
                host.name, _site(host), _roles(host), host.user, host.port, made.address, made.host_key
            )
        self.private_key = key.private_key
        self.https_port = network.published_port
        self.register_outputs({"names": list(names), "https_port": self.https_port})


def _every(hosts: tuple[HostSettings, ...], outside: OutsideSettings | None) -> tuple[AnyHost, ...]:
    return (*hosts, outside) if outside else hosts


def _given(host: AnyHost) -> HostFacts:
    # Settings have checked that both are there: see rules._places.
    address, key = pulumi.Output.from_input(host.address or ""), pulumi.Output.from_input(host.host_key or "")
    return HostFacts(host.name, _site(host), _roles(host), host.user, host.port, address, key)


def _site(host: AnyHost) -> str:
    return host.site if isinstance(host, HostSettings) else OUTSIDE_SITE


def _roles(host: AnyHost) -> tuple[Role, ...]:
    return host.roles if isinstance(host, HostSettings) else tuple(sorted(OUTSIDE_ROLES))

"""The lab's place on this machine: a Docker network of its own and the port that publishes the shop."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

AUTO = "auto"


def take_subnet(lab: str, stack: str, wanted: str) -> str:
    """Make the lab's network, or adopt the one that an interrupted run left, and return its /24."""
    from infra.lab import docker, identity

    name = identity.network_name(lab)
    found = docker.inspect("network", name)
    if found is not None:
        if docker.labels("network", found).get(identity.LABEL_LAB) != lab:
            raise docker.DockerError(
                f"network {name} exists and is not this lab's. Next: docker network inspect {name}"
            )
        cidr = str(found["IPAM"]["Config"][0]["Subnet"])
        if wanted in (AUTO, cidr):
            return cidr
        docker.run("network", "rm", name)
    candidates = identity.subnets(lab) if wanted == AUTO else iter([wanted])
    labels = ["--label", f"{identity.LABEL_LAB}={lab}", "--label", f"{identity.LABEL_STACK}={stack}"]
    for subnet in candidates:
        try:
            docker.run("network", "create", "--subnet", str(subnet), *labels, name)
        except docker.DockerError as error:
            taken = "overlaps" in str(error) or "not available" in str(error)
            if not taken:
                raise
            if wanted != AUTO:
                raise docker.DockerError(
                    f"till:labSubnet {wanted} overlaps another network of this machine. "
                    "Next: pulumi config set till:labSubnet auto"
                ) from None
            continue
        return str(subnet)
    raise docker.DockerError("no /24 of 198.18.0.0/15 is free. Next: docker network prune")


def release_subnet(name: str) -> None:
    """Remove the network, whatever is still attached to it; nothing happens when it is gone already."""
    from infra.lab import docker

    found = docker.inspect("network", name)
    if found is None:
        return
    for stray in (found.get("Containers") or {}).values():
        docker.run("network", "disconnect", "--force", name, stray["Name"])
    docker.run("network", "rm", name)


def take_port(lab: str, wanted: str) -> int:
    """The fixed port, or the first free one from the lab's place on."""
    from infra.lab import identity, ports

    if wanted != AUTO:
        return int(wanted)
    return next(port for port in identity.ports(lab) if ports.is_free(port))


class NetworkProvider(ResourceProvider):
    """Inputs: lab, stack, subnet, https_port (each `auto` or fixed); outputs besides: cidr, published_port."""

    def configure(self, req: ConfigureRequest) -> None:
        import sys

        sys.tracebacklimit = 0  # what happened is in the error's own sentence

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        from infra.lab import ports

        wanted = news["https_port"]
        fresh = _olds.get("https_port") != wanted
        if wanted != AUTO and fresh and not ports.is_free(int(wanted)):
            return CheckResult(news, [CheckFailure("labHttpsPort", ports.in_use(int(wanted)))])
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("lab", "stack") if _olds.get(key) != _news.get(key)]
        if _news["subnet"] not in (AUTO, _olds.get("cidr")):
            replaces.append("subnet")
        port_moves = _news["https_port"] not in (AUTO, str(_olds.get("published_port")))
        return DiffResult(changes=bool(replaces) or port_moves, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        from infra.lab import identity

        cidr = take_subnet(props["lab"], props["stack"], props["subnet"])
        port = take_port(props["lab"], props["https_port"])
        outs = {**props, "cidr": cidr, "published_port": str(port)}
        return CreateResult(identity.network_name(props["lab"]), outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        from infra.lab import docker

        found = docker.inspect("network", id_)
        if found is None:
            return ReadResult("", {})
        return ReadResult(id_, {**props, "cidr": str(found["IPAM"]["Config"][0]["Subnet"])})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        port = take_port(_news["lab"], _news["https_port"])
        return UpdateResult({**_news, "cidr": _olds["cidr"], "published_port": str(port)})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        release_subnet(_id)


class LabNetwork(Resource, module="till", name="LabNetwork"):
    """A /24 out of 198.18.0.0/15 and a port on 127.0.0.1, both kept in the stack's state once chosen."""

    cidr: pulumi.Output[str]
    published_port: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        lab: str,
        stack: str,
        subnet: str,
        https_port: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"lab": lab, "stack": stack, "subnet": subnet, "https_port": https_port}
        super().__init__(NetworkProvider(), resource_name, {**props, "cidr": None, "published_port": None}, opts)

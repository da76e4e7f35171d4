"""A host of the lab as a Pulumi resource. See `machine` for what the container is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import (
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

if TYPE_CHECKING:
    from infra.lab.machine import Machine

AUTO = "auto"
REPLACING = ("container", "lab", "stack", "hostname", "network", "address", "publish")
UPDATING = ("memory_mb", "user", "authorized_key")


def machine_of(props: dict[str, Any], image: str) -> Machine:
    from infra.lab.machine import Machine

    texts = {key: str(props[key]) for key in ("container", "lab", "stack", "hostname", "network", "address")}
    return Machine(**texts, image=image, memory_mb=int(props["memory_mb"]), publish=int(props["publish"]))


class HostProvider(ResourceProvider):
    """Inputs: the fields of Machine, user, authorized_key; outputs besides: made_from (an image), host_key, running."""

    def configure(self, req: ConfigureRequest) -> None:
        import sys

        sys.tracebacklimit = 0  # what happened is in the error's own sentence

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in REPLACING if _olds.get(key) != _news.get(key)]
        if _news["image"] not in (AUTO, _olds.get("made_from")):
            replaces.append("image")
        updates = [key for key in UPDATING if _olds.get(key) != _news.get(key)]
        stopped = not _olds.get("running", True)
        return DiffResult(changes=bool(replaces or updates or stopped), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        from infra.lab import images, machine

        wanted = machine_of(props, images.choose(str(props["image"])))
        machine.ensure(wanted)
        key = machine.prepare(wanted.container, props["user"], props["authorized_key"])
        outs = {**props, "made_from": wanted.image, "host_key": key, "running": True}
        return CreateResult(wanted.container, outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        from infra.lab import docker, machine

        found = docker.inspect("container", id_)
        if found is None:
            return ReadResult("", {})
        up = machine.running(found)
        memory_mb = str(found["HostConfig"]["Memory"] // 1024**2)
        key = machine.host_key(id_) if up else props["host_key"]
        return ReadResult(id_, {**props, "running": up, "memory_mb": memory_mb, "host_key": key})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        from infra.lab import docker, machine

        docker.run("start", _id)
        memory = f"{int(_news['memory_mb'])}m"
        docker.run("update", "--memory", memory, "--memory-swap", memory, _id)
        key = machine.prepare(_id, _news["user"], _news["authorized_key"])
        return UpdateResult({**_news, "made_from": _olds["made_from"], "host_key": key, "running": True})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        from infra.lab import machine

        machine.remove(_id)


class LabHost(Resource, module="till", name="LabHost"):
    """A container that can't be told from a rented host; a stopped one is started, a missing one made again."""

    address: pulumi.Output[str]
    host_key: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        props: dict[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`props` are texts: the fields of Machine (image may be `auto`), user, authorized_key."""
        made = {"made_from": None, "host_key": None, "running": None}
        super().__init__(HostProvider(), resource_name, {**props, **made}, opts)

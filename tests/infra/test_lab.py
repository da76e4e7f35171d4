"""The lab's providers against a real Docker: each state that a run can find is brought back to the wanted one."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.lab import docker, identity, images, machine, network, ports, rent, ssh_key
from infra.lab.host import HostProvider
from infra.lab.network import AUTO, NetworkProvider
from tools import leftovers

STACK = "provider-test"
LAB = identity.lab_id(STACK)
pytestmark = pytest.mark.timeout(110)


@pytest.fixture(scope="module")
def place() -> Iterator[dict[str, Any]]:
    """A network of these tests alone, as its provider leaves it in the state."""
    inputs = {"lab": LAB, "stack": STACK, "subnet": AUTO, "https_port": AUTO}
    made = NetworkProvider().create(inputs)
    assert made.outs is not None
    yield {"id": made.id, **made.outs}
    NetworkProvider().delete(made.id, made.outs)
    assert docker.inspect("network", made.id) is None


@pytest.fixture
def inputs(place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    container = identity.container_name(LAB, "alpha")
    yield {
        "container": container,
        "lab": LAB,
        "stack": STACK,
        "hostname": "alpha",
        "network": place["id"],
        "address": identity.address(place["cidr"], "alpha", ["alpha"]),
        "image": images.newest("till-host"),
        "memory_mb": "512",
        "publish": place["published_port"],
        "user": "till",
        "authorized_key": ssh_key.new_key_pair("test")[1],
    }
    machine.remove(container)


def test_a_host_through_its_whole_life(inputs: dict[str, Any], tmp_path: Path) -> None:
    private, public = ssh_key.new_key_pair("test")
    inputs["authorized_key"] = public
    provider = HostProvider()
    made = provider.create(inputs)
    outs = made.outs
    assert outs is not None
    assert provider.diff(made.id, outs, inputs).changes is False
    assert login(inputs["address"], private, outs["host_key"], tmp_path) == "alpha root"

    docker.run("stop", "--time", "1", made.id)
    seen = provider.read(made.id, outs).outs
    assert seen is not None
    assert seen["running"] is False
    stopped = provider.diff(made.id, seen, inputs)
    assert stopped.changes
    assert stopped.replaces == []
    started = provider.update(made.id, seen, {**inputs, "memory_mb": "640"}).outs
    assert started is not None
    assert started["host_key"] == outs["host_key"]
    assert (provider.read(made.id, started).outs or {})["memory_mb"] == "640"

    # What an interrupted run left, of the same make, is adopted: the container stays the same.
    born = (docker.inspect("container", made.id) or {})["Id"]
    provider.create(inputs)
    assert (docker.inspect("container", made.id) or {})["Id"] == born
    # Of another make, it is removed.
    provider.create({**inputs, "hostname": "other"})
    assert (docker.inspect("container", made.id) or {})["Id"] != born

    docker.run("rm", "--force", made.id)
    assert provider.read(made.id, outs).id == ""
    provider.delete(made.id, outs)


def login(address: str, private: str, host_key: str, folder: Path) -> str:
    """What a host answers to SSH with a pinned key and through sudo."""
    (folder / "known_hosts").write_text(f"{address} {host_key}\n")
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(private)
    options = (
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        f"UserKnownHostsFile={folder}/known_hosts",
        "-o",
        "BatchMode=yes",
    )
    command = ["ssh", "-i", str(key), "-o", "IdentitiesOnly=yes", *options, f"till@{address}"]
    done = subprocess.run([*command, "echo $(hostname) $(sudo -n id -un)"], capture_output=True, text=True, timeout=20)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("key", ["address", "publish", "hostname", "image"])
def test_what_can_not_change_in_place_replaces(inputs: dict[str, Any], key: str) -> None:
    olds = {**inputs, "made_from": inputs["image"], "running": True}
    found = HostProvider().diff("id", olds, {**inputs, key: "other"})
    assert found.replaces == [key]
    assert found.delete_before_replace


def test_auto_keeps_the_image_that_a_host_was_made_from(inputs: dict[str, Any]) -> None:
    olds = {**inputs, "made_from": "till-lab:older", "running": True}
    assert HostProvider().diff("id", olds, {**inputs, "image": "auto"}).changes is False


def test_a_network_that_an_interrupted_run_left_is_adopted(place: dict[str, Any]) -> None:
    assert network.take_subnet(LAB, STACK, AUTO) == place["cidr"]


def test_a_taken_subnet_is_one_sentence(place: dict[str, Any]) -> None:
    with pytest.raises(docker.DockerError, match=r"till:labSubnet .* overlaps .* Next: pulumi config set"):
        network.take_subnet(identity.lab_id("other-test"), STACK, place["cidr"])


def test_a_foreign_container_of_that_name_is_left_alone(inputs: dict[str, Any]) -> None:
    docker.run("create", "--name", inputs["container"], inputs["image"], "true")
    with pytest.raises(docker.DockerError, match=r"is not this lab's. Next: docker rm -f"):
        HostProvider().create(inputs)
    assert docker.inspect("container", inputs["container"]) is not None


def test_a_port_in_use_names_its_holder() -> None:
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        inputs = {"lab": LAB, "stack": STACK, "subnet": AUTO, "https_port": str(port)}
        failures = NetworkProvider().check({}, inputs).failures
    assert len(failures) == 1
    assert f"127.0.0.1:{port} is in use by " in failures[0].reason
    assert "(pid " in failures[0].reason
    assert "labHttpsPort auto" in failures[0].reason


def test_a_port_in_use_at_the_start_leaves_no_container(inputs: dict[str, Any]) -> None:
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen()
        with pytest.raises(docker.DockerError, match=r"is in use by .* Next: "):
            HostProvider().create({**inputs, "publish": str(taken.getsockname()[1])})
    assert docker.inspect("container", inputs["container"]) is None


def test_a_missing_image_is_one_sentence(inputs: dict[str, Any]) -> None:
    with pytest.raises(docker.DockerError, match=r"image till-none:1 is not on this machine. Next: tools/setup"):
        HostProvider().create({**inputs, "image": "till-none:1"})


def test_missing_docker_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(docker.DockerError, match=r"no `docker` command is on PATH. Next: tools/setup"):
        docker.cgroup_version()


def test_a_daemon_that_does_not_run_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(docker.DockerError, match=r"daemon, and it does not answer. Next: tools/setup"):
        docker.cgroup_version()


def test_two_checkouts_never_share_a_name(tmp_path: Path) -> None:
    here, there = identity.lab_id("lab"), identity.lab_id("lab", tmp_path)
    assert here != there
    assert identity.container_name(here, "alpha") != identity.container_name(there, "alpha")
    assert next(identity.ports(here)) != next(identity.ports(there))


def test_rented_hosts_come_again_the_same_and_go_back(rented_name: str) -> None:
    folder = rent.default_folder(rented_name)
    first = rent.rent(rented_name, ["alpha"], "till-host", 256, folder)
    assert rent.rent(rented_name, ["alpha"], "till-host", 256, folder) == first
    rent.give_back(rented_name, folder)
    assert docker.inspect("network", identity.network_name(rent.lab_of(rented_name))) is None
    assert not folder.exists()


def test_rented_hosts_that_a_run_left_are_removed(
    rented_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of a CI run; here of this name alone, as other tests have rented hosts, too."""
    kept = tmp_path / ".till" / "rented" / rented_name
    rent.rent(rented_name, ["alpha"], "till-host", 256, kept)
    lab = rent.lab_of(rented_name)
    monkeypatch.setattr(leftovers.paths, "CHECKOUT", tmp_path)
    assert leftovers.remove() == []
    assert leftovers.remove(rented=True) == [identity.container_name(lab, "alpha"), identity.network_name(lab)]
    assert docker.inspect("network", identity.network_name(lab)) is None
    assert not kept.exists()

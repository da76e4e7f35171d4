"""The real Pulumi CLI over a backend of its own: preview, up, second up, refresh, destroy."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.contract import parse
from infra.lab import docker, identity, images, machine, network

from .conftest import CHECKOUT, filled_in

PULUMI = CHECKOUT / ".venv" / "bin" / "pulumi"
LAB_STACK = "labtest"
DATA = Path(__file__).parent / "data"
pytestmark = pytest.mark.timeout(360)


class Project:
    """A copy of the stack files over the checkout's own program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        (self.folder / "infra").symlink_to(CHECKOUT / "infra")
        (self.folder / "Pulumi.yaml").write_text((CHECKOUT / "Pulumi.yaml").read_text())
        self.state = folder / "state"
        self.state.mkdir()
        self.environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE": "only for this test",
            "TILL_LAB_IMAGE": images.newest("till-host"),
        }

    def settings(self, stack: str, settings: dict[str, Any]) -> None:
        self.run("stack", "init", stack)
        file = self.folder / f"Pulumi.{stack}.yaml"
        yaml = YAML()
        document = yaml.load(file) or {}
        document["config"] = {f"till:{key}": value for key, value in settings.items()}
        yaml.dump(document, file)

    def run(self, *arguments: str, ok: bool = True) -> str:
        command = [str(PULUMI), "--non-interactive", "--color", "never", "-C", str(self.folder), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=200)
        assert (done.returncode == 0) is ok, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def lab_leftovers() -> Iterator[str]:
    lab = identity.lab_id(LAB_STACK)
    yield lab
    for host in identity.ADDRESSES:
        machine.remove(identity.container_name(lab, host))
    network.release_subnet(identity.network_name(lab))


def test_a_lab_from_nothing_to_nothing(project: Project, lab_leftovers: str) -> None:
    settings = filled_in("lab") | {"labHostMemoryMb": "256"}
    roles = ["edge", "app", "database", "etcd", "nameserver", "backup_repository"]
    settings["hosts"] = [{"name": "alpha", "site": "alpha", "roles": roles}]
    project.settings(LAB_STACK, settings)
    project.run("up", "--yes", "--skip-preview")
    contract = parse(project.run("stack", "output", "contract", "--show-secrets"))
    assert [host.name for host in contract.hosts] == ["alpha"]
    for value in contract.secrets.values():
        for file in project.state.rglob("*.json"):
            assert not value.get_secret_value() or value.get_secret_value() not in file.read_text()
    assert " unchanged" in project.run("up", "--yes", "--skip-preview", "--expect-no-changes")

    docker.run("rm", "--force", identity.container_name(lab_leftovers, "alpha"))
    project.run("up", "--refresh", "--yes", "--skip-preview")
    again = parse(project.run("stack", "output", "contract", "--show-secrets"))
    assert again.hosts[0].address == contract.hosts[0].address
    assert again.hosts[0].host_key != contract.hosts[0].host_key
    project.run("destroy", "--yes", "--skip-preview")
    assert docker.inspect("network", identity.network_name(lab_leftovers)) is None
    assert docker.inspect("container", identity.container_name(lab_leftovers, "alpha")) is None


def test_hosts_that_exist(project: Project) -> None:
    provider = {"provider": "ddns", "options": {"ddns_server": "192.0.2.53"}, "nameservers": ["192.0.2.53"]}
    project.settings("staging", filled_in("staging") | {"dnsProvider": provider})
    project.run("config", "set", "--secret", "till:paypalClientSecret", "canary-paypal", "-s", "staging")
    token = '{"auth_token": "hmac-sha256:till:canary-dns"}'
    project.run("config", "set", "--secret", "till:dnsProviderCredentials", token, "-s", "staging")
    project.run("preview")
    project.run("up", "--yes", "--skip-preview")
    contract = json.loads(project.run("stack", "output", "contract", "--show-secrets"))
    assert contract["version"] == 2
    assert contract["secrets"]["paypal_client_secret"] == {"current": "canary-paypal", "previous": None}
    assert contract["dns_provider"] == {**provider, "credentials": {"auth_token": "hmac-sha256:till:canary-dns"}}
    kept = [file.read_bytes() for file in project.state.rglob("*") if file.is_file()]
    signs = contract["release_key"]["private_key_pem"].splitlines()[1].encode()
    assert not [one for one in kept if b"canary-paypal" in one or b"canary-dns" in one or signs in one]
    project.run("up", "--yes", "--skip-preview", "--expect-no-changes")
    project.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    project.run("destroy", "--yes", "--skip-preview")


def test_a_stack_of_version_1_is_read_and_upgraded_by_up(project: Project) -> None:
    # Settings and state as the program of version 1 left them (`pulumi stack export`, without places in its source).
    project.run("stack", "init", "staging")
    (project.folder / "Pulumi.staging.yaml").write_text((DATA / "stack_of_version_1.yaml").read_text())
    project.run("stack", "import", "--file", str(DATA / "stack_of_version_1.json"), "-s", "staging")
    text = project.run("stack", "output", "contract", "--show-secrets", "-s", "staging")
    assert json.loads(text)["version"] == 1
    before = parse(text)
    assert before.platform.kind == "vps"
    project.run("up", "--yes", "--skip-preview", "-s", "staging")
    text = project.run("stack", "output", "contract", "--show-secrets", "-s", "staging")
    assert json.loads(text)["version"] == 2
    after = parse(text)
    # No password was made anew, or hosts of before would lock everybody out.
    assert after.secrets == before.secrets
    assert after.release_key == before.release_key
    assert after.internal_ca_pem == before.internal_ca_pem
    assert after.secrets["paypal_client_secret"].get_secret_value() == "canary-of-version-1"
    project.run("up", "--yes", "--skip-preview", "--expect-no-changes", "-s", "staging")


def test_a_bad_setting_is_one_sentence_and_changes_nothing(project: Project) -> None:
    project.settings("production", filled_in("production") | {"paypalMode": "sandbox", "paypalClientSecret": ""})
    said = project.run("up", "--yes", "--skip-preview", ok=False)
    assert "till:paypalMode = 'sandbox': production takes real payments only." in said
    assert "Traceback" not in said


def test_missing_docker_is_one_sentence(project: Project, tmp_path: Path) -> None:
    project.settings("lab", filled_in("lab"))
    project.environment["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    said = project.run("up", "--yes", "--skip-preview", ok=False)
    assert "the lab needs the Docker daemon, and it does not answer. Next: tools/setup" in said
    assert "Traceback" not in said

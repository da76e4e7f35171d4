"""The road from the lab to hosts of your own: staging, end to end, on bare containers that Pulumi did not make."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from till.hosts.session import SWEEP_AFTER_S
from till.paths import CHECKOUT, VENV_BIN

pytestmark = [pytest.mark.fleet, pytest.mark.matrix, pytest.mark.slow, pytest.mark.timeout(3600)]
NAME = "staging-walk"
ZONE = "staging-shop.example"
VERSION = "v1.0.0-paypal"
MOMENT_S = 2


def rent(*options: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(VENV_BIN / "python"), "-m", "infra.lab.rent", "--name", NAME, *options],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


class Project:
    """A checkout of its own with a filled-in Pulumi.staging.yaml: the committed one has examples only."""

    def __init__(self, folder: Path, rented: dict[str, Any]) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (CHECKOUT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, folder / name, follow_symlinks=False)
        (folder / ".venv").symlink_to(CHECKOUT / ".venv")
        # A release is built from what git knows.
        for command in (["git", "init", "--quiet"], ["git", "add", "--all"]):
            subprocess.run(command, cwd=folder, check=True)
        state = folder / ".till"
        (state / "pulumi").mkdir(parents=True)
        (state / "passphrase").write_text("only for this walk")
        self.environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{state}/pulumi",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(state / "passphrase"),
        }
        self._fill_in(rented)

    def _fill_in(self, rented: dict[str, Any]) -> None:
        path, yaml = self.folder / "Pulumi.staging.yaml", YAML()
        document = yaml.load(path)
        config = document["config"]
        found = {host["name"]: host for host in rented["hosts"]}
        reached = {
            name: {"address": one["address"], "port": one["port"], "user": one["user"], "hostKey": one["host_key"]}
            for name, one in found.items()
        }
        for host in config["till:hosts"]:
            host.update(reached[host["name"]])
        config["till:outside"] = {"name": "outside", **reached["outside"]}
        config["till:paypalMode"] = "simulator"
        for key in ("till:paypalClientId", "till:paypalClientSecret", "till:paypalWebhookId"):
            config[key] = ""
        config["till:acmeDirectoryUrl"] = f"https://acme.{ZONE}:14000/dir"
        config["till:sshPrivateKeyFile"] = rented["ssh_private_key_file"]
        yaml.dump(document, path)

    def till(self, *arguments: str, timeout_s: float = 2400) -> dict[str, Any]:
        done = subprocess.run(
            [str(self.folder / ".venv/bin/python"), "-c", "from till.cli.main import main; main()", *arguments,
             "--json"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip
        if done.returncode != 0:
            # The reason first: a summary keeps one line.
            ended = f"till {' '.join(arguments)} ended with {done.returncode}: {done.stdout}"
            pytest.fail(f"{ended}\n{done.stderr[-3000:]}")
        return dict(json.loads(done.stdout))

    def killed(self, *arguments: str, at: str) -> None:
        """Run a verb and SIGKILL it as soon as its messages tell of `at`."""
        process = subprocess.Popen(
            [str(self.folder / ".venv/bin/python"), "-c", "from till.cli.main import main; main()", *arguments],
            cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            seen = next((line for line in process.stderr if at in line), None)
            assert seen is not None, f"ended with {process.wait()} before it told of {at!r}"
            time.sleep(MOMENT_S)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == -signal.SIGKILL


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    rent("--return")
    try:
        yield Project(tmp_path, rent())
    finally:
        rent("--return")


def test_staging_from_bare_hosts_to_a_paid_order(project: Project) -> None:
    # A laptop's lid falls in the middle of the first run: the next one finishes it.
    project.killed("up", "staging", at="The first member makes the cluster")
    time.sleep(SWEEP_AFTER_S)
    told = project.till("up", "staging")
    assert told["order"]["payment_status"] == "completed"
    assert told["version"] == VERSION
    assert told["checks"]["passed"] > 50
    again = project.till("provision", "staging")
    assert (again["changed"], sorted(again["config_backup"])) == (0, ["alpha", "bravo", "ops"])
    status = project.till("status", "staging")
    assert status["urls"]["shop"] == f"https://{ZONE}/"
    assert {host["address"] for host in status["hosts"]}.isdisjoint({"192.0.2.11", "198.51.100.12", "203.0.113.13"})
    # Hosts are its owner's: taking the stack down leaves them running.
    project.till("down", "staging", "--confirm", "staging")
    assert len(rent()["hosts"]) == 4

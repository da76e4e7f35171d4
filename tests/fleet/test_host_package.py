"""Hosts run one version of their programs: a provision ends with the checkout's, in units that run already, too."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from infra.contract import Contract
from tests.fleet.conftest import STACK, container, inside, till
from tests.fleet.load import Load
from till_host import installation
from tools import host_package

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(900)]
FOLDER = "/opt/till-host"
WHEEL = "/var/lib/till/till_host.whl"
# A module that most units import, and that an edit of changes nothing in.
SHARED = "till_host/etcd.py"
# Of each running unit of a host: its name, its main process, and the version whose folder that process holds.
HELD = (
    "for unit in $(systemctl list-units --type=service --state=running --plain --no-legend 'till-*' | cut -d' ' -f1);"
    " do pid=$(systemctl show --value -p MainPID $unit);"
    f" echo $unit $pid $(readlink /proc/$pid/fd/* 2>/dev/null | grep ^{FOLDER}/ || echo none); done"
)


@pytest.fixture
def changed_wheel(tmp_path: Path) -> Path:
    """The package as after an edit of a shared module."""
    before = host_package.wheel()
    wheel = tmp_path / "till_host-1.0.0+edited-py3-none-any.whl"
    with zipfile.ZipFile(before) as read, zipfile.ZipFile(wheel, "w") as write:
        for name in read.namelist():
            content = read.read(name)
            if name == SHARED:
                content += b"\nEDITED = True\n"
            if name.endswith(".dist-info/METADATA"):
                version = f"Version: {installation.wheel_version(before)}".encode()
                content = content.replace(version, b"Version: 1.0.0+edited")
            write.writestr(name, content)
    return wheel


def held(host: str) -> dict[str, tuple[str, str]]:
    """By unit that runs from the package: its main process and the version's folder."""
    lines = [line.split() for line in inside(host, HELD).splitlines()]
    return {unit: (process, folder) for unit, process, folder in lines if folder != "none"}


def test_units_run_what_was_laid_down_and_a_provision_leads_them_back(lab: Contract, changed_wheel: Path) -> None:
    hosts = [host.name for host in lab.hosts]
    ours = f"{FOLDER}/{host_package.package_version()}"
    before = {host: held(host) for host in hosts}
    for host in hosts:
        assert {folder for _, folder in before[host].values()} == {ours}, host
        assert {"till-lease-release.service", "till-watch.service"} <= set(before[host])
    with Load(lab) as load:
        for host in hosts:
            subprocess.run(["docker", "cp", str(changed_wheel), f"{container(host)}:{WHEEL}"], check=True)
            inside(host, f"PYTHONPATH={WHEEL} /usr/bin/python3 -m till_host.installation install {WHEEL}")
            # Nothing is restarted before its settings are there: what runs holds its version.
            assert held(host) == before[host]
            assert inside(host, f"ls -d {ours}").strip() == ours
            told = inside(host, f"{FOLDER}/current/bin/host-package restart-units").splitlines()
            assert {f"restarted {unit}" for unit in before[host]} <= set(told)
            assert {folder for _, folder in held(host).values()} == {f"{FOLDER}/1.0.0+edited"}
            # Nobody runs from it any more.
            assert inside(host, f"ls {FOLDER}").split() == ["1.0.0+edited", "current"]
            if host == hosts[0]:
                _, told_of, _ = till("status", STACK)
                assert told_of["programs"] == {**dict.fromkeys(hosts, ours.rpartition("/")[2]), host: "1.0.0+edited"}
                assert any("hosts run different versions of Till's programs" in one for one in told_of["faults"])
        code, told_by_till, messages = till("provision", STACK, "--tags", "host_package")
        assert code == 0, messages[-3000:]
        assert set(told_by_till["changed_by_host"]) == set(hosts)
        load.stop()
    assert load.failures == []
    for host in hosts:
        after = held(host)
        assert set(after) == set(before[host])
        assert {folder for _, folder in after.values()} == {ours}
        assert all(process != before[host][unit][0] for unit, (process, _) in after.items())
        assert inside(host, "systemctl list-units --failed --no-legend --plain 'till-*'").strip() == ""

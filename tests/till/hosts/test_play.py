"""Plays over a real SSH connection, to a real host that was rented."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from infra.contract import Contract
from tests.till.conftest import CANARY, HOST_KEY, contract_of, host
from till.errors import HostUnreachable, TillError, UsageError
from till.hosts import play, processes, session
from till.hosts.play_result import PlayResult
from till.progress import Progress

pytestmark = pytest.mark.fleet
# No container of the tests' network has it.
NOBODY_OFFSET = 77


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setattr(play, "log_dir", lambda: folder)
    return folder


def run(contract: Contract, folder: Path, tasks: str, hosts: str = "fleet", **options: Any) -> PlayResult:
    playbook = folder / "playbook.yml"
    head = f"- name: A play\n  hosts: {hosts}\n  gather_facts: false\n  become: true\n  tasks:\n"
    playbook.write_text(head + textwrap.indent(textwrap.dedent(tasks), "    "))
    with session.open_session(contract) as place:
        return play.run(place, "playbook.yml", Progress(), folder=folder, **options)


def changed(contract: Contract, **of_alpha: Any) -> Contract:
    return contract.model_copy(update={"hosts": (contract.hosts[0].model_copy(update=of_alpha),)})


def left_behind() -> list[Path]:
    """Workplaces that nobody works in; another run of this machine holds its own."""
    return [folder for folder in Path("/dev/shm").glob(f"{session.PREFIX}*") if not held(folder)]


def held(folder: Path) -> bool:
    try:
        with (folder / "held").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        # Just made, or just removed.
        return True
    except BlockingIOError:
        return True
    return False


def test_changed_then_not(rented: Contract, tmp_path: Path, logs: Path) -> None:
    tasks = """
        - name: Write a file
          ansible.builtin.copy: {content: "{{ words }}", dest: /root/till-test, mode: "0600"}
    """
    before = left_behind()
    first = run(rented, tmp_path, tasks, variables={"words": "a b 'c'"})
    second = run(rented, tmp_path, tasks, variables={"words": "a b 'c'"})
    assert first.succeeded and first.changed == {"alpha": 1}
    assert second.succeeded and second.facts()["changed"] == 0
    assert second.facts()["per_host"] == {"alpha": {"ok": 1, "changed": 0, "failed": 0, "unreachable": 0}}
    assert set(left_behind()) <= set(before)


def test_check_and_diff_change_nothing(
    rented: Contract, tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = """
        - name: Write a file
          ansible.builtin.copy: {content: "new words\\n", dest: /root/till-check, mode: "0600"}
    """
    assert run(rented, tmp_path, tasks, check=True, diff=True).changed == {"alpha": 1}
    assert "+new words" in capsys.readouterr().err
    with session.open_session(rented) as place:
        assert place.ssh("alpha", "test -e /root/till-check").returncode == 1


def test_no_secret_shows_also_when_a_task_fails(
    rented: Contract, tmp_path: Path, logs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = """
        - name: Show it
          ansible.builtin.debug: {var: till_secrets}
        - name: Fail with it
          ansible.builtin.command: "sh -c 'echo {{ till_secrets.postgres_superuser_password }} >&2; exit 3'"
    """
    result = run(rented, tmp_path, tasks)
    failure = result.failures[0]
    assert (failure.host, failure.task) == ("alpha", "Fail with it")
    assert "[REDACTED]" in failure.message
    with pytest.raises(TillError) as raised:
        result.raise_for_failure(rented, "again")
    kept = [path.read_text() for path in logs.iterdir()]
    output = capfd.readouterr()
    assert "Fail with it" in output.err
    for text in [*kept, output.out, output.err, str(raised.value), json.dumps(raised.value.facts), repr(result)]:
        assert CANARY not in text


def test_our_environment_stays_here(
    rented: Contract, tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "canary")
    tasks = """
        - name: Nothing came through
          ansible.builtin.assert: {that: "lookup('ansible.builtin.env', 'PULUMI_CONFIG_PASSPHRASE') == ''"}
    """
    assert run(rented, tmp_path, tasks).succeeded
    assert os.environ["PULUMI_CONFIG_PASSPHRASE"] == "canary"


def test_a_mended_failure_is_none(rented: Contract, tmp_path: Path, logs: Path) -> None:
    tasks = """
        - name: Try
          block:
            - name: Break
              ansible.builtin.command: "false"
          rescue:
            - name: Mend
              ansible.builtin.command: "true"
    """
    assert run(rented, tmp_path, tasks).succeeded


def test_another_host_key_is_told_as_such(rented: Contract, tmp_path: Path, logs: Path) -> None:
    contract = changed(rented, host_key=HOST_KEY)
    result = run(contract, tmp_path, "- name: Never runs\n  ansible.builtin.command: 'true'\n")
    with pytest.raises(HostUnreachable) as raised:
        result.raise_for_failure(contract, "again")
    address = rented.hosts[0].address
    assert f"host alpha ({address}:22) shows another SSH host key than the pinned one" in raised.value.message
    assert raised.value.facts["unreachable"] == 1


@pytest.mark.parametrize("wrong", ["address", "port"])
def test_an_unreachable_host_is_named(rented: Contract, tmp_path: Path, logs: Path, wrong: str) -> None:
    network = rented.hosts[0].address.rsplit(".", 1)[0]
    contract = changed(rented, **({"port": 2} if wrong == "port" else {"address": f"{network}.{NOBODY_OFFSET}"}))
    result = run(contract, tmp_path, "- name: Never runs\n  ansible.builtin.command: 'true'\n")
    with pytest.raises(HostUnreachable, match=r"host alpha \(.*\) can't be reached by SSH: ") as raised:
        result.raise_for_failure(contract, "again")
    assert raised.value.exit_code == 4


def test_a_group_without_hosts_is_refused(rented: Contract, tmp_path: Path, logs: Path) -> None:
    with pytest.raises(UsageError, match=r"lab has no host with the role database, which playbook\.yml needs"):
        run(rented, tmp_path, "- name: Never runs\n  ansible.builtin.command: 'true'\n", hosts="database")


@pytest.mark.parametrize("hosts", ["outside", "nobody_at_all"])
def test_no_host_at_all_is_refused(rented: Contract, tmp_path: Path, logs: Path, hosts: str) -> None:
    with pytest.raises(UsageError, match="matched no host"):
        run(rented, tmp_path, "- name: Never runs\n  ansible.builtin.command: 'true'\n", hosts=hosts)


def test_a_playbook_that_does_not_parse_is_no_success(rented: Contract, tmp_path: Path, logs: Path) -> None:
    with pytest.raises(TillError, match="no_such_module"):
        run(rented, tmp_path, "- name: Never runs\n  no_such_module: 'true'\n")


def test_a_terminated_run_leaves_no_secret(rented: Contract, tmp_path: Path, logs: Path) -> None:
    document = tmp_path / "contract.json"
    document.write_text(rented.to_json())
    playbook = tmp_path / "slow.yml"
    playbook.write_text(
        "- name: Slow\n  hosts: fleet\n  gather_facts: false\n  tasks:\n"
        "    - name: Wait\n      ansible.builtin.command: sleep 60\n      changed_when: false\n"
    )
    program = textwrap.dedent("""
        import pathlib, sys
        from infra.contract import parse
        from till import errors
        from till.hosts import play, session
        from till.progress import Progress
        folder = pathlib.Path(sys.argv[1])
        play.log_dir = lambda: folder
        with session.open_session(parse((folder / "contract.json").read_text())) as place:
            print(place.folder, flush=True)
            try:
                play.run(place, "slow.yml", Progress(), folder=folder)
            except errors.TillError as reason:
                print(reason)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.stat().st_mode & 0o777 == 0o700
    process.stderr.readline()
    time.sleep(1)
    modes = {path.stat().st_mode & 0o077 for path in folder.iterdir()}
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert modes == {0}
    assert "slow.yml was interrupted" in told
    assert processes.marked(folder) == []
    # Long enough for a worker that lives on to write something.
    time.sleep(2)
    assert not folder.exists()


def test_what_a_killed_run_left_is_swept(make_contract: Any) -> None:
    contract = contract_of(host("alpha"))
    program = textwrap.dedent("""
        import os, sys
        from infra.contract import parse
        from till.hosts import session
        with session.open_session(parse(sys.stdin.read())) as place:
            print(place.folder, flush=True)
            os.kill(os.getpid(), 9)
    """)
    done = subprocess.run([sys.executable, "-c", program], input=contract.to_json(), capture_output=True, text=True)
    left = Path(done.stdout.strip())
    assert left.exists()
    with session.open_session(contract) as other:
        assert left.exists(), "too young to be told from one that is being made"
        os.utime(left, (0, 0))
        os.utime(other.folder, (0, 0))
        with session.open_session(contract):
            assert not left.exists()
            assert other.folder.exists(), "held by a living run"

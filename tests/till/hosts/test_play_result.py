"""What a play did, and how a failure of it is told."""

from __future__ import annotations

import pytest

from tests.till.conftest import contract_of, host
from till.errors import HostUnreachable, TillError
from till.hosts.play_result import Failure, PlayResult, message

CONTRACT = contract_of(host("alpha"), host("bravo"))


def test_counts_are_per_host() -> None:
    result = PlayResult("x.yml", failures=[Failure("bravo", "Task", "no")])
    result.finish({"ok": {"alpha": 3, "bravo": 1}, "changed": {"alpha": 2}, "failures": {"bravo": 1}, "dark": {}})
    assert result.facts() == {
        "changed": 2,
        "changed_by_host": {"alpha": 2},
        "failed": 1,
        "unreachable": 0,
        "per_host": {
            "alpha": {"ok": 3, "changed": 2, "failed": 0, "unreachable": 0},
            "bravo": {"ok": 1, "changed": 0, "failed": 1, "unreachable": 0},
        },
        "hosts": ["alpha", "bravo"],
    }


def test_a_rescued_failure_is_none() -> None:
    result = PlayResult("x.yml", failures=[Failure("alpha", "Task", "no")])
    result.finish({"ok": {"alpha": 3}, "failures": {}, "rescued": {"alpha": 1}})
    assert result.succeeded


def test_failures_name_host_task_and_reason_and_carry_the_numbers() -> None:
    result = PlayResult("x.yml", failures=[Failure("alpha", "Install", "disk full")])
    with pytest.raises(TillError, match="alpha: Install: disk full") as raised:
        result.raise_for_failure(CONTRACT, "again")
    assert (raised.value.exit_code, raised.value.next_command, raised.value.facts["failed"]) == (1, "again", 1)


@pytest.mark.parametrize("sign", ["WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", "Host key verification failed."])
def test_a_changed_host_key_names_host_address_and_next_command(sign: str) -> None:
    rented = CONTRACT.model_copy(update={"environment": "staging", "stack": "staging"})
    result = PlayResult("x.yml", unreachable=[Failure("bravo", "Ping", sign)])
    with pytest.raises(HostUnreachable) as raised:
        result.raise_for_failure(rented, "again")
    assert raised.value.exit_code == 4
    assert "bravo (198.18.7.15:22) shows another SSH host key" in raised.value.message
    assert raised.value.next_command.startswith("ssh-keyscan -t ed25519 -p 22 198.18.7.15")
    assert "Pulumi.staging.yaml" in raised.value.next_command


def test_messages_hold_what_failed_in_loops_and_on_stderr() -> None:
    told = message(
        {"msg": "one item failed", "results": [{"failed": True, "msg": "x", "stderr": "y"}, {"msg": "fine"}]}
    )
    assert told == "one item failed | x | y"


def test_a_commands_own_words_are_enough() -> None:
    assert message({"msg": "non-zero return code", "stderr": "disk full"}) == "disk full"
    assert message({"msg": "non-zero return code", "stderr": ""}) == "non-zero return code"

"""The payments made during a rollout, as the shop keeps them and as PayPal does, before the new release has it all."""

from __future__ import annotations

import time
from typing import Any

from till.errors import GateSaidNo
from till.hosts import programs
from till.rollout.rollout import Rollout


def gate(rollout: Rollout, phase: str) -> None:
    """Each payment since the deploy began is there once on both sides; raises GateSaidNo where one is not.

    Raises TillError where one side can't be asked: nobody could tell then.
    """
    policy, contract = rollout.policy["ledger"], rollout.session.contract
    host = rollout.edges.hosts[0].name
    # Clocks of this machine and of hosts may differ.
    age_s = time.time() - rollout.record.at
    words = [f"{age_s:.0f}", *(str(policy[name]) for name in ("payments_max", "patience_s", "timeout_s"))]

    def asked() -> dict[str, Any]:
        return dict(
            programs.run_host_program(
                rollout.session, host, "ledger", rollout.intents[host].new_slot, *words,
                timeout_s=policy["deadline_s"], next_command=f"till status {contract.stack}",
            )
        )  # fmt: skip

    told = rollout.keeping(asked)
    number, faults = told["payments"], told["faults"]
    if faults:
        sentence = "; ".join(faults)
        rollout.gate(phase, "ledger", "fail", sentence)
        raise GateSaidNo(f"payments and PayPal's ledger differ: {sentence}")
    if not number:
        rollout.gate(phase, "ledger", "skipped", "nobody paid meanwhile: there was nothing to compare")
        return
    each = f"{number} payments are" if number > 1 else "1 payment is"
    older = "; older ones were not asked for" if told["more"] else ""
    rollout.gate(phase, "ledger", "pass", f"{each} there once in the shop and at PayPal, with the same sum{older}")

"""What `till status` makes of the nameservers' answers."""

from __future__ import annotations

from till import status


def told(**servers: object) -> dict[str, object]:
    return {"name": "shop.lab.test", "agree": True, "sites": [], "nameservers": servers}


def test_silence_and_serials_out_of_step_are_faults_and_other_answers_are_none() -> None:
    alpha, bravo = {"addresses": ["192.0.2.1"], "serial": 7}, {"addresses": ["192.0.2.2"], "serial": 7}
    assert status.unheard(told(alpha=alpha, bravo=bravo)) == []
    assert status.unheard(told(alpha=alpha, bravo={"fault": "does not answer: Timeout"})) == [
        "nameserver bravo does not answer: Timeout"
    ]
    (fault,) = status.unheard(told(alpha=alpha, bravo={**bravo, "serial": 8}))
    assert "serials are out of step: {'alpha': 7, 'bravo': 8}" in fault

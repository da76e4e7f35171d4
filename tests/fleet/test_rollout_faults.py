"""What a deploy meets on its way: a till that is killed, a host that SSH does not reach, a host that starts anew."""

from __future__ import annotations

import json
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.visits import Visits
from infra.contract import Contract
from tests.fleet.conftest import STACK, inside
from tests.fleet.database import home, until, well_again
from tests.fleet.deploys import PER_S, POLICY, begun, deployed, led_alone, serves, until_phase
from tests.fleet.faults import cut, destroyed
from tests.fleet.places import edges
from tests.fleet.variants import BUILT, variant
from till.observe import probe
from till.records import deploy_record

pytestmark = [
    pytest.mark.fleet,
    pytest.mark.matrix,
    pytest.mark.usefixtures("unwatched", "led_home", "served"),
    pytest.mark.timeout(1200),
]
ENDS_WITHIN_S = 240
# A host boots, its site is left by names and its database followed: with a busy machine's share.
UNSERVED_MAX_S = 60


def in_phase(phase: str, version: str, after_s: float) -> subprocess.Popen[str]:
    """A deploy that has been in a phase for so long."""
    plan = ("rolling", "10") if phase == "steps" else ("blue-green", "2")
    asked = begun(version, "--strategy", plan[0], "--bake-s", plan[1])
    until_phase(asked, phase)
    time.sleep(after_s)
    assert asked.poll() is None, phase
    return asked


def ended(asked: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """How a deploy ended that a fault met: said, with what to do next."""
    try:
        told, messages = asked.communicate(timeout=ENDS_WITHIN_S)
    finally:
        # No deploy goes on under the next test.
        asked.kill()
    assert told, messages[-3000:]
    answer = json.loads(told)
    print(f"exit code {asked.returncode}: {answer.get('error')}; next: {answer.get('next')}")
    return asked.returncode, answer


def left(lab: Contract) -> set[str]:
    """What serves once every try is over."""
    until("the try stays", lambda: led_alone(lab), POLICY["lease_s"] + 25)
    return {str(one) for one in probe.served_versions(lab, probe.public_trust(lab)).values()}


@pytest.mark.parametrize(("phase", "after_s"), [("ship", 0.5), ("preview", 0.5), ("steps", 3), ("promote", 0)])
def test_a_till_that_is_killed_leaves_a_release_serving(
    lab: Contract, twin: str, tmp_path: Path, phase: str, after_s: float
) -> None:
    # One that hosts have already is shipped in no time.
    new = variant(tmp_path, "") if phase == "ship" else twin
    with Visits(lab, PER_S, limit_s=400) as visits:
        asked = in_phase(phase, new, after_s)
        # What it started may have its pipes still: nobody waits for their end.
        asked.kill()
        asked.wait()
        found = left(lab)
        assert found <= {BUILT, new} and (phase == "promote" or found == {BUILT})
        unfinished = deploy_record.load(STACK, deploy_record.names(STACK)[-1])
        assert (unfinished.new_version, unfinished.verdict) == (new, "unfinished")
        assert deployed(new, "--bake-s", "0")[0] == 0
    assert visits.failed == []
    assert {one.version for one in visits.all} <= {BUILT, new}
    assert serves(lab, new)


# What was not given any traffic yet is no other case than a till that is killed.
@pytest.mark.parametrize("phase", ["steps", "promote"])
def test_a_host_that_ssh_does_not_reach_any_more_serves_on(lab: Contract, twin: str, phase: str) -> None:
    host = edges(lab)[0]
    tills = inside(host, "ip -4 route show default").split()[2]
    with Visits(lab, PER_S, limit_s=400) as visits:
        asked = in_phase(phase, twin, 0)
        with cut(host, tills, ports="22"):
            code, told = ended(asked)
            found = left(lab)
        if code == 0:
            # All that needs this host may be over before it is cut off.
            assert phase == "promote" and found == {twin}
        else:
            assert code in (3, 4) and host in told["error"] and told["next"], told
        assert found <= {BUILT, twin} and (phase == "promote" or found == {BUILT})
        assert code == 0 or deployed(twin, "--bake-s", "0")[0] == 0
    assert visits.failed == []
    assert {one.version for one in visits.all} <= {BUILT, twin}
    assert serves(lab, twin)


# In the preview as in the ship before it: nothing of the new release has any traffic.
@pytest.mark.parametrize(
    ("phase", "number"), [("ship", 0), ("steps", 0), ("promote", 1)],
    ids=["ship-customers", "steps-customers", "promote-other"],
)  # fmt: skip
def test_a_host_that_starts_anew_serves_the_old_or_the_new_release(
    lab: Contract, twin: str, tmp_path: Path, phase: str, number: int
) -> None:
    # Where customers are, whatever the host that started anew before had the leader do.
    home(lab)
    host = edges(lab)[number]
    new = variant(tmp_path, "") if phase == "ship" else twin
    with Visits(lab, PER_S, limit_s=400) as visits:
        asked = in_phase(phase, new, 0)
        with destroyed(host):
            pass
        code, told = ended(asked)
        assert code == 0 or (code in (3, 4) and told["next"]), told
        well_again(lab)
        assert left(lab) <= {BUILT, new}
        assert code == 0 or deployed(new, "--bake-s", "0")[0] == 0
    # Customers are led away from a site that is gone; the others never notice.
    well = sorted(one.at for one in visits.all if one.status == 200)
    unserved_s = max(later - earlier for earlier, later in pairwise(well))
    print(f"{host} started anew in {phase}: {len(visits.failed)} of {len(visits.all)} failed, {unserved_s:.1f} s")
    assert unserved_s < UNSERVED_MAX_S
    if number:
        assert visits.failed == []
    assert {one.version for one in visits.all if one.status == 200} <= {BUILT, new}
    assert serves(lab, new)

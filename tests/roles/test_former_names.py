"""A host whose releases run under the names of before: they are taken over, and something answers at each moment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.roles.conftest import EMPTY, POLICY
from till.paths import CHECKOUT
from till_host.faults import Fault
from till_host.slots import edge, former, haproxy, probe, relay, release, units
from till_host.slots import state as slots

FORMER = ("storefront@blue.service", "storefront@green.service")
TODAY = ("app@blue.service", "app@green.service")
HAPROXY, ROLE = CHECKOUT / "playbooks/roles/edge/templates/haproxy.cfg.j2", CHECKOUT / "playbooks/roles/app"
TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:8F2A 0100007F:0BB9 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:0BB9 0100007F:8F2A 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:8F2C 0100007F:0BB9 06 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
"""


class CutOffError(Exception):
    """The program was killed here."""


class Machine:
    """systemd and HAProxy as the program meets them; it looks after each step whether somebody would be let down."""

    def __init__(self, root: Path) -> None:
        self.root, self.steps, self.end_after, self.ill = root, 0, 10_000, set[str]()
        self.active, self.enabled = set(FORMER), set(FORMER)
        # Ports that answered well and were asked some pages since their program began, in this run.
        self.ready, self.warm = set[int](), set[int]()
        self.users, self.backend = {"storefront"}, "storefront"
        # Where HAProxy asks for each slot that holds a release.
        self.led = dict(POLICY["ports"])

    def environment(self, unit: str) -> Path:
        name, _, instance = unit.removesuffix(".service").partition("@")
        return self.root / "env" / f"{name}-{instance}.env"

    def port(self, unit: str) -> int:
        told = re.search(r'PORT="(\d+)"', self.environment(unit).read_text())
        assert told
        return int(told[1])

    def step(self) -> None:
        listening = [self.port(unit) for unit in self.active]
        assert len(listening) == len(set(listening)), f"two on one port: {self.active}"
        assert set(self.led.values()) <= set(listening), f"HAProxy asks {self.led}, {self.active} run"
        self.steps += 1
        if self.steps == self.end_after:
            self.ready.clear()
            self.warm.clear()
            raise CutOffError

    def systemctl(self, verb: str, *words: str) -> int:
        unit = words[-1]
        if verb in ("is-active", "is-enabled"):
            return 0 if unit in (self.active if verb == "is-active" else self.enabled) else 3
        if verb == "start" and unit not in self.ill:
            assert (self.root / "units" / f"{unit.partition('@')[0]}@.service").exists()
            assert "app" in self.users
            self.active.add(unit)
        if verb == "stop":
            self.active.discard(unit)
        if verb == "enable":
            self.enabled.add(unit)
        if verb == "disable":
            self.enabled.discard(unit)
        self.step()
        return 0

    def healthy(self, instance: str, url: str, _deadline_s: float) -> str:
        unit = units.unit(instance)
        if unit not in self.active:
            return "ended at once"
        # The release in green has a manifest, which tells a path of its own.
        path = "/ready" if instance.startswith("green") else "/up"
        if url != f"http://127.0.0.1:{self.port(unit)}{path}":
            return f"nobody answers {url}"
        self.ready.add(self.port(unit))
        return ""

    def ask(self, ports: dict[str, int], paths: list[str], *_: float) -> None:
        (port,) = ports.values()
        assert port in self.ready and paths == (["/ready", "/en"] if "green" in ports else ["/up"])
        self.warm.add(port)

    def runtime(self, command: str) -> str:
        words = command.split()
        if words[:2] == ["show", "stat"]:
            return "# svname,weight\nblue,0\ngreen,100" if words[2] == self.backend else "No such proxy."
        if words[:2] == ["show", "map"]:
            return "Unknown map identifier."
        proxy, _, slot = words[2].partition("/")
        if proxy not in (self.backend, "assets", f"check_{slot}"):
            return "No such backend."
        assert int(words[-1]) in self.warm, f"{command}, which is not ready"
        if proxy == self.backend:
            self.led[slot] = int(words[-1])
            self.step()
        return f"no need to change the addr, port changed to {words[-1]}"

    def run(self, *command: str) -> None:
        if command[0].endswith("useradd"):
            self.users.add(command[-1])
        if command[0].endswith("userdel"):
            assert not self.active & set(FORMER), "its processes run"
            self.users.remove(command[-1])
        if command[1] == "reload":
            # As the files say from now on.
            named = re.findall(
                "^backend (app|storefront)$", (self.root / "haproxy/slots.cfg").read_text(), re.MULTILINE
            )
            settings = (self.root / "haproxy/haproxy.cfg").read_text()
            assert f"default_backend {named[0]}\n" in settings and f"nbsrv({named[0]})" in settings
            self.backend, self.led = named[0], {slot: POLICY["ports"][slot] for slot in self.led}
        self.step()

    def succeeds(self, *command: str) -> bool:
        return command[-1] in self.users if command[0].endswith("getent") else True


@pytest.fixture
def machine(host: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A host with a release in each slot, green serves."""
    machine = Machine(host)
    for folder in (
        "env",
        "units",
        "start",
        "slots",
        "releases/v1",
        "releases/v2",
        "cache/storefront-blue",
        "manifests",
    ):
        (host / folder).mkdir(parents=True)
    (host / "app.json").rename(host / "storefront.json")
    (host / "storefront.json").write_text(
        json.dumps({**POLICY, "drain_s": 0, "start_deadline_s": 1, "journal_lines": 3})
    )
    slots.save({**EMPTY, "active": "green", "blue": "v1", "green": "v2", "digests": {"blue": "1", "green": "2"}})
    for slot, version, port in (("blue", "v1", 3001), ("green", "v2", 3002)):
        (host / f"env/storefront-{slot}.env").write_text(f'APP_VERSION="{version}"\nPORT="{port}"\n')
        (host / f"start/{slot}").write_text("#!/bin/sh\nexec ./app\n")
        (host / f"slots/{slot}").symlink_to(host / "releases" / version)
    text = (ROLE / "templates/app@.service.j2").read_text().replace("app", "storefront")
    (host / "units/storefront@.service").write_text(text)
    (host / "haproxy/haproxy.cfg").write_text(re.sub(r"\bapp\b", "storefront", HAPROXY.read_text()))
    (host / "haproxy/slots.cfg").write_text("backend storefront\n    server blue\nbackend assets\n")
    (host / "manifests/v2.json").write_text('{"version": "v2", "health_path": "/ready", "probe_paths": ["/en"]}')
    places = {former: {"UNITS": "units"}, relay: {"CACHES": "cache", "TCP": "tcp"}, release: {"ROOT": "."}}
    for module, names in places.items():
        for name, path in names.items():
            monkeypatch.setattr(module, name, host / path)
    (host / "tcp").write_text(TABLE.splitlines()[0] + "\n")
    monkeypatch.setattr(units, "ENVIRONMENT", str(host / "env/app-{slot}.env"))
    monkeypatch.setattr(units, "systemctl", machine.systemctl)
    monkeypatch.setattr(units, "healthy", machine.healthy)
    monkeypatch.setattr(probe, "ask", machine.ask)
    monkeypatch.setattr(units, "journal", lambda *_: "Error: not today")
    monkeypatch.setattr(haproxy, "runtime", machine.runtime)
    monkeypatch.setattr(edge, "runs", lambda: True)
    monkeypatch.setattr(edge, "tell", lambda state: None)
    monkeypatch.setattr(former, "run", machine.run)
    monkeypatch.setattr(former, "succeeds", machine.succeeds)
    return machine


def files_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.name not in ("lock", "tcp")}


def all_taken_over(machine: Machine) -> None:
    assert machine.active == machine.enabled == set(TODAY)
    assert (machine.users, machine.backend, machine.led) == ({"app"}, "app", POLICY["ports"])
    left = [name for name in files_of(machine.root) if "storefront" in name or "relay" in name]
    assert left == []
    assert (machine.root / "env/app-blue.env").read_text() == 'APP_VERSION="v1"\nPORT="3001"\n'
    assert (machine.root / "env/app-blue.env").stat().st_mode & 0o777 == 0o600
    assert (machine.root / "units/app@.service").read_text() == (ROLE / "templates/app@.service.j2").read_text()
    assert (machine.root / "haproxy/haproxy.cfg").read_text() == HAPROXY.read_text()
    assert (machine.root / "slots/green").readlink() == machine.root / "releases/v2"


def test_releases_of_before_run_under_the_names_of_today(machine: Machine) -> None:
    before = slots.load()
    done = former.take_over()
    assert done[:3] == [
        "storefront@blue.service is app@blue.service",
        "storefront@green.service is app@green.service",
        "backend storefront is app",
    ]
    all_taken_over(machine)
    assert slots.load() == before
    # A second time there is nothing to do.
    steps = machine.steps
    assert former.take_over() == [] and machine.steps == steps


def test_one_that_was_cut_off_anywhere_is_run_again(machine: Machine) -> None:
    cut = 0
    while True:
        # Each run gets one step farther than the one that has just been cut off.
        machine.steps, machine.end_after = 0, cut + 1
        try:
            former.take_over()
        except CutOffError:
            cut += 1
            continue
        break
    assert cut > 1
    all_taken_over(machine)


@pytest.mark.parametrize("at", range(1, 30))
def test_after_any_single_cut_the_next_one_brings_everything(machine: Machine, at: int) -> None:
    machine.end_after = at
    try:
        former.take_over()
    except CutOffError:
        machine.end_after = 10_000
        former.take_over()
    all_taken_over(machine)


def test_a_release_that_does_not_start_again_goes_on_as_it_was(machine: Machine) -> None:
    machine.ill = {"app@blue-relay.service"}
    with pytest.raises(Fault, match=r"v1 in app@blue-relay\.service on .* ended at once; last lines of it:\nError"):
        former.take_over()
    assert machine.active == set(FORMER) and machine.led == POLICY["ports"]
    assert [name for name in files_of(machine.root) if "relay" in name] == []
    # Mended.
    machine.ill = set()
    former.take_over()
    all_taken_over(machine)


def test_one_that_somebody_started_by_hand_runs_on(machine: Machine) -> None:
    machine.enabled.clear()
    former.take_over()
    all_taken_over(machine)


def test_a_slot_without_a_release_is_left_empty(machine: Machine) -> None:
    slots.save({**slots.load(), "blue": None})
    machine.active.discard(FORMER[0])
    machine.enabled.discard(FORMER[0])
    del machine.led["blue"]
    former.take_over()
    assert machine.active == machine.enabled == {TODAY[1]}


def test_settings_that_haproxy_refuses_are_put_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (machine.root / "haproxy/haproxy.cfg").read_text()
    monkeypatch.setattr(former, "succeeds", lambda *command: "haproxy" not in command[0])
    with pytest.raises(Fault, match="HAProxy refuses its settings"):
        former.rename_backend(slots.load())
    assert (machine.root / "haproxy/haproxy.cfg").read_text() == before


def test_only_the_backend_is_renamed() -> None:
    kept = "    acl shop var(txn.host) -m str storefront.example.com\n    # storefront\n"
    assert former.with_backend_renamed(kept) == kept
    assert former.with_backend_renamed("backend storefront\n") == "backend app\n"


def test_the_kernels_table_tells_who_asks_a_port() -> None:
    # One that listens, the other end and one that is closing are none.
    assert relay.asking(TABLE, 3001) == 1
    assert relay.asking(TABLE, 3002) == 0


def test_a_release_without_a_runtime_has_no_empty_part_in_its_path() -> None:
    assert units.search_path("") == "/usr/local/bin:/usr/bin:/bin"
    assert units.search_path("/opt/node/bin").startswith("/opt/node/bin:/usr/local/bin:")

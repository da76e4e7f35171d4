"""Which site is first in the nameservers' answers: decisions without a host, and what the role renders."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml

from tests.policy import POLICY
from till_host.public_dns import recall, site_order

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
ROLE = PLAYBOOKS / "roles" / "nameserver"
SITE_OF = {"db-a": "alpha", "db-b": "bravo", "db-ops": "ops"}
HOLD_DOWN_S, BACK_S = 30.0, 6.0
WELL, ALIVE, GONE = range(3)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return site_order


class Watched:
    """A nameserver's memory that is shown one second after the other."""

    def __init__(self, program: ModuleType, first: str = "alpha") -> None:
        self.program, self.memory, self.now = program, program.Memory(first), 1000.0
        self.hold = program.Hold(HOLD_DOWN_S, BACK_S)
        self.sentences: list[str] = []

    def sees(self, alpha: int, bravo: int, *leaders: str, for_s: float = 1) -> str:
        """Who is first after that."""
        for _ in range(int(for_s)):
            seen = self.program.Seen({"alpha": alpha, "bravo": bravo}, leaders)
            self.memory, sentence = self.program.decide(self.memory, seen, SITE_OF, self.now, self.hold)
            self.sentences += [sentence] if sentence else []
            self.now += 1
        return str(self.memory.first)


@pytest.fixture
def watched(program: ModuleType) -> Watched:
    return Watched(program)


def test_first_is_where_the_database_leads(watched: Watched) -> None:
    assert watched.sees(WELL, WELL, "db-a") == "alpha"
    assert watched.sees(WELL, WELL, "db-b") == "bravo"
    assert watched.sentences == ["bravo is first: the database leads there"]


def test_a_leader_without_an_edge_nobody_and_two_leaders_say_nothing_new(watched: Watched) -> None:
    watched.sees(WELL, WELL, "db-b")
    assert watched.sees(WELL, WELL, "db-ops") == "bravo"
    assert watched.sees(WELL, WELL) == "bravo"
    assert watched.sees(WELL, WELL, "db-a", "db-b") == "bravo"


def test_a_dead_edge_gives_way_at_once_and_comes_back_after_the_hold_down(watched: Watched) -> None:
    assert watched.sees(GONE, WELL, "db-a") == "bravo"
    assert watched.sees(GONE, WELL, "db-a", for_s=100) == "bravo"
    assert watched.sees(WELL, WELL, "db-a", for_s=HOLD_DOWN_S - 1) == "bravo"
    assert watched.sees(WELL, WELL, "db-a", for_s=2) == "alpha"
    assert watched.sentences == [
        "bravo is first: alpha is not there, bravo is well",
        "alpha is first: the database leads there",
    ]


def test_a_link_that_drops_every_few_seconds_makes_no_ping_pong(watched: Watched) -> None:
    for _ in range(20):
        watched.sees(GONE, WELL, "db-a", for_s=3)
        watched.sees(WELL, WELL, "db-a", for_s=7)
    assert (watched.memory.first, len(watched.sentences)) == ("bravo", 1)


def test_a_held_site_still_takes_over_from_a_worse_one(watched: Watched) -> None:
    watched.sees(GONE, WELL, "db-a")
    assert watched.sees(WELL, GONE, "db-a") == "alpha"
    # Now bravo gave way, and alpha stays when bravo is back.
    assert watched.sees(WELL, WELL, "db-a", for_s=100) == "alpha"


def test_a_dead_site_stays_second_when_it_is_back_until_the_leader_moves(watched: Watched) -> None:
    # The database is away for all while nobody leads: the site whose edge still answers is better than none.
    assert watched.sees(GONE, ALIVE) == "bravo"
    watched.sees(GONE, WELL, "db-b", for_s=60)
    assert watched.sees(WELL, WELL, "db-b", for_s=600) == "bravo"
    assert watched.sees(WELL, WELL, "db-a") == "alpha"


def test_what_fails_at_all_sites_alike_moves_nobody(watched: Watched) -> None:
    watched.sees(ALIVE, ALIVE, for_s=20)
    watched.sees(GONE, GONE, for_s=20)
    assert watched.sees(WELL, WELL, "db-a") == "alpha"
    assert watched.sentences == []


def test_where_no_site_is_well_the_leading_one_waits_for_a_moment_only(watched: Watched) -> None:
    watched.sees(GONE, WELL, "db-a")
    assert watched.sees(GONE, GONE, "db-a") == "alpha"
    watched.sees(ALIVE, WELL, "db-a")
    assert watched.sees(ALIVE, ALIVE, "db-a", for_s=BACK_S) == "bravo"
    assert watched.sees(ALIVE, ALIVE, "db-a") == "alpha"


def test_the_leading_hosts_link_that_drops_takes_the_other_sites_health_with_it_and_moves_names_once(
    watched: Watched,
) -> None:
    """Without the database no site is well, and the other one is so a moment after the leading one."""
    for _ in range(20):
        watched.sees(GONE, ALIVE, for_s=3)
        watched.sees(ALIVE, ALIVE, "db-a")
        watched.sees(WELL, ALIVE, "db-a", for_s=2)
        watched.sees(WELL, WELL, "db-a", for_s=2)
    assert (watched.memory.first, len(watched.sentences)) == ("bravo", 1)
    # One that answers and stays not well is left after a moment.
    assert watched.sees(WELL, ALIVE, "db-a", for_s=BACK_S) == "bravo"
    assert watched.sees(WELL, ALIVE, "db-a") == "alpha"


def test_a_site_that_was_taken_from_the_stack_is_not_first(watched: Watched) -> None:
    watched.memory.first = "charlie"
    assert watched.sees(WELL, WELL, "db-b") == "bravo"


def test_what_the_nameserver_tells_is_read_or_refused(program: ModuleType) -> None:
    assert program.Seen.parse("alpha=0 bravo=2 leader=") == program.Seen({"alpha": 0, "bravo": 2}, ())
    assert program.Seen.parse("alpha=0 leader=a,b").leaders == ("a", "b")
    for text in ("", "alpha=0", "alpha=x leader=", "nonsense"):
        with pytest.raises((ValueError, KeyError)):
            program.Seen.parse(text)
    assert program.order("bravo", ["alpha", "bravo", "charlie"]) == "bravo alpha charlie\n"


@pytest.mark.parametrize(
    ("answers", "site"),
    [
        ([["192.0.2.9"], ["192.0.2.9"]], "bravo"),
        ([["192.0.2.1", "192.0.2.2"], None], "alpha"),
        # They differ for as long as a hold-down.
        ([["192.0.2.9"], ["192.0.2.1"]], ""),
        ([["192.0.2.9", "192.0.2.1"]], ""),
        ([["198.51.100.7"]], ""),
        ([None, []], ""),
        ([], ""),
    ],
)
def test_the_others_know_better_where_they_agree(answers: list[list[str] | None], site: str) -> None:
    site_at = {"192.0.2.1": "alpha", "192.0.2.2": "alpha", "192.0.2.9": "bravo"}
    assert recall.agreed(answers, site_at) == site


def test_a_host_that_was_away_begins_where_the_others_are_and_holds_its_old_site(watched: Watched) -> None:
    watched.memory = watched.program.begun("alpha", "bravo", watched.now)
    assert watched.program.held(watched.memory) == "alpha\n"
    assert watched.sees(GONE, GONE) == "bravo"
    assert watched.sees(WELL, WELL, "db-b", for_s=5) == "bravo"
    assert watched.sees(WELL, WELL, "db-a", for_s=HOLD_DOWN_S - 6) == "bravo"
    assert watched.sees(WELL, WELL, "db-a", for_s=2) == "alpha"
    for recalled in ("", "alpha"):
        assert watched.program.begun("alpha", recalled, watched.now) == watched.program.Memory("alpha")


FLEET = [
    {"name": "a1", "site": "alpha", "address": "192.0.2.1"},
    {"name": "a2", "site": "alpha", "address": "192.0.2.2"},
    {"name": "b1", "site": "bravo", "address": "2001:db8::1"},
]


def rendered(name: str, **values: Any) -> str:
    # As Ansible's template module renders, with its filters and tests that are used here.
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"to_json": json.dumps, "to_nice_json": lambda it: json.dumps(it, default=list), "zip": zip}
    environment.tests["search"] = lambda text, part: part in text
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    known = {key: POLICY.get(key, value) for key, value in defaults.items()}
    given = {"nameserver_zone": "shop.example", "nameserver_edges": FLEET, "nameserver_databases": FLEET, **values}
    return environment.from_string((ROLE / "templates" / name).read_text()).render(dict=dict, **{**known, **given})


def test_who_is_asked_at_the_start_are_the_other_nameservers() -> None:
    settings = json.loads(
        rendered(
            "site-order.json.j2", nameserver_edges=TWINS, nameserver_members=TWINS, inventory_hostname="a1",
            nameserver_service_names=["www.shop.example"],
        )
    )  # fmt: skip
    assert (settings["others"], settings["name"]) == ([B4], "www.shop.example.")
    assert settings["site_at"] == {A1: "alpha", B4: "bravo"}


def test_a_service_name_has_records_of_the_families_that_edges_have_and_a_fallback_for_each() -> None:
    zone = json.loads(rendered("zone.json.j2", nameserver_service_names=["www.shop.example"], nameserver_members=FLEET))
    records = {one["name"]: one for one in zone["rrsets"]}
    lua = records["www.shop.example."]
    assert (lua["type"], lua["ttl"], zone["soa"]["negative_ttl_s"]) == ("LUA", 5, 5)
    assert [one[: one.index(" ")] for one in lua["records"]] == ["A", "AAAA"]
    assert lua["records"][0].endswith("return ok and r or {'192.0.2.1','192.0.2.2'}\"")
    assert lua["records"][1].endswith("return ok and r or {'2001:db8::1'}\"")
    assert records["ns3.shop.example."]["type"] == "AAAA"


CHECKED = """
who = { toString = function() return '127.0.0.1' end }
local state = {}
for word in arg[2]:gmatch('%%S+') do local key, value = word:match('(.+)=(.+)'); state[key] = value end
function ifurlup(url, units)
    local address = units[1][1]
    local kind = url:match('primary$') or url:match('^https') and 'health' or 'alive'
    if (state[address] or ''):find(kind, 1, true) then return { address } end
    return { units[1][1], units[2][1] }
end
local file = io.open
io.open = function(path)
    local name = path:match('held$') and arg[5] or arg[3]
    return name ~= '' and file(name) or nil
end
local told = dofile(arg[1])(arg[4])
print(type(told) == 'table' and table.concat(told, ' ') or told)
""".replace("%%", "%")
A1, A2, B1 = "192.0.2.1", "192.0.2.2", "2001:db8::1"
BOTH = "health+alive"


@pytest.mark.parametrize(
    ("state", "order", "kind", "answer"),
    [
        (f"{A1}={BOTH} {A2}={BOTH} {B1}={BOTH}", "", "A", f"{A1} {A2}"),
        (f"{A1}={BOTH} {A2}=alive {B1}={BOTH}", "", "A", A1),
        # A family that only one site has is answered by it, however it is.
        (f"{B1}={BOTH}", "", "A", f"{A1} {A2}"),
        ("", "bravo alpha", "A", f"{A1} {A2}"),
        ("", "bravo alpha", "AAAA", B1),
        (f"{A1}={BOTH} {B1}={BOTH}+primary", "", "TXT", "alpha=0 bravo=0 leader=b1"),
        (f"{A2}=alive", "", "TXT", "alpha=1 bravo=2 leader="),
    ],
)
def test_an_answer_is_the_best_sites_and_never_empty(
    tmp_path: Path, state: str, order: str, kind: str, answer: str
) -> None:
    assert asked(tmp_path, rendered("sites.lua.j2", **URLS), state, order, kind) == answer


URLS = {
    "nameserver_health_url": "https://www.shop.example/health",
    "nameserver_alive_url": "http://www.shop.example/up",
}
TWINS = [{**FLEET[0]}, {"name": "b1", "site": "bravo", "address": "192.0.2.9"}]
B4 = "192.0.2.9"


@pytest.mark.parametrize(
    ("state", "order", "answer"),
    [
        (f"{A1}={BOTH} {B4}={BOTH}", "alpha bravo", A1),
        (f"{A1}={BOTH} {B4}={BOTH}", "bravo alpha", B4),
        (f"{A1}={BOTH} {B4}={BOTH}", "bravo", A1),
        (f"{A1}={BOTH} {B4}={BOTH}", "bravo nowhere", A1),
        (f"{A1}=alive {B4}={BOTH}", "alpha bravo", B4),
        (f"{B4}=alive", "alpha bravo", B4),
        ("", "bravo alpha", B4),
    ],
)
def test_of_two_sites_the_better_one_then_the_first(tmp_path: Path, state: str, order: str, answer: str) -> None:
    settings = rendered("sites.lua.j2", nameserver_edges=TWINS, **URLS)
    assert asked(tmp_path, settings, state, order, "A") == answer


@pytest.mark.parametrize(
    ("state", "order", "held", "answer"),
    [
        # The first one answers and is not well, the other one gave way a moment ago.
        (f"{A1}={BOTH} {B4}=alive", "bravo alpha", "alpha", B4),
        (f"{A1}={BOTH} {B4}=alive", "bravo alpha", "", A1),
        (f"{A1}={BOTH}", "bravo alpha", "alpha", A1),
        (f"{A1}={BOTH} {B4}={BOTH}", "bravo alpha", "alpha", B4),
        ("", "bravo alpha", "alpha", B4),
    ],
)
def test_a_site_that_gave_way_waits_while_the_first_ones_edge_answers(
    tmp_path: Path, state: str, order: str, held: str, answer: str
) -> None:
    settings = rendered("sites.lua.j2", nameserver_edges=TWINS, **URLS)
    assert asked(tmp_path, settings, state, order, "A", held) == answer


def test_who_is_held_is_who_gave_way_and_is_not_first(watched: Watched) -> None:
    watched.sees(GONE, WELL, "db-a")
    assert watched.program.held(watched.memory) == "alpha\n"
    watched.sees(WELL, WELL, "db-a", for_s=HOLD_DOWN_S + 1)
    assert (watched.memory.first, watched.program.held(watched.memory)) == ("alpha", "\n")


def asked(folder: Path, text: str, state: str, order: str, kind: str, held: str = "") -> str:
    lua = shutil.which("luajit")
    if not lua:
        pytest.fail("luajit is not here: run `tools/setup --tests`")
    (folder / "sites.lua").write_text(text)
    (folder / "checked.lua").write_text(CHECKED)
    if order:
        (folder / "order").write_text(order + "\n")
    (folder / "held").write_text(held + "\n")
    arguments = ["checked.lua", "sites.lua", state, "order" if order else "", kind, "held" if held else ""]
    done = subprocess.run([lua, *arguments], cwd=folder, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nameservers_name_themselves_as_the_edge_knows_them() -> None:
    """Else the edge keeps no answer for them, and each of them asks the shop anew."""
    edge = yaml.safe_load((ROLE.parent / "edge" / "defaults" / "main.yml").read_text())
    assert f"useragent = '{edge['edge_checker_agent']}'" in rendered("sites.lua.j2", **URLS)

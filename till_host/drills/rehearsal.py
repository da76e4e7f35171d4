"""The course of a failover drill: load, fault, heal, well again, reconciled, failed back; each step has a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from till_host import ssh
from till_host.drills import drill, measure
from till_host.drills import hosts as road
from till_host.drills.measure import Broken
from till_host.drills.observer import Watch
from till_host.drills.readiness import look, site_of, unwell, with_role
from till_host.faults import Fault
from till_host.payments import books
from till_host.payments.buyer import Shop
from till_host.payments.load import Load
from till_host.payments.reconcile import compare

POLL_S = 0.5
# Kinds after which names must have left the site, and the leader its host.
MOVES_NAMES = ("host-kill", "site-partition", "edge-kill")
MOVES_LEADER = ("host-kill", "site-partition")
# Which of the site's hosts are broken; of the other kinds it is the host that leads.
BROKEN_ROLES = {"edge-kill": "edge", "dns-kill": "nameserver"}


class Rehearsal(drill.Drill):
    """One failover drill."""

    def __init__(self, rules: dict[str, Any], shop: Shop, kind: str, asked: dict[str, Any]) -> None:
        payments = bool(rules["simulator"])
        facts = {"fault": kind, "fast_release": rules["fast_release"], "payments": payments, "limits": rules["limits"]}
        told = {key: asked[key] for key in ("by", "override") if asked[key]}
        super().__init__("failover", "failover", **facts, **told)
        self.rules, self.shop, self.fault_kind = rules, shop, kind
        self.for_s: int = rules["fault_s"][kind]

    def hosts(self, site: str, leader: str) -> list[str]:
        if self.fault_kind == "site-partition":
            return [host["name"] for host in self.rules["hosts"] if host["site"] == site]
        if self.fault_kind in BROKEN_ROLES:
            return with_role(self.rules, BROKEN_ROLES[self.fault_kind], site)
        return [leader]

    def run(self, leader: str) -> None:
        """Every step; `result` holds what was measured also when one raises Fault."""
        rules, load_rules = self.rules, self.rules["load"]
        site = site_of(rules, leader)
        hosts = self.hosts(site, leader)
        self.result |= {"site": site, "leader": leader, "hosts": hosts}
        broken: Broken | None = None
        began = time.time()
        with Watch(rules, self.shop.internal) as watch:
            try:
                with Load(self.shop) as load:
                    with self.phase("buy before the fault"):
                        time.sleep(load_rules["before_s"])
                        if not load.acknowledged(began):
                            raise Fault("nothing could be bought before the fault, so nothing was broken")
                        if strayed := watch.strayed(site):
                            raise Fault(f"{strayed} left {site} before the fault, so nothing was broken")
                    with self.phase(f"{self.fault_kind} on {', '.join(hosts)}"):
                        broken = self.begin(site, leader, hosts)
                        time.sleep(max(0.0, broken.until - time.time()))
                    with self.phase("heal"):
                        self.until("no host is broken any more", lambda: self.healed(hosts), rules["heal_deadline_s"])
                    with self.phase("until all is well"):
                        self.until_well("", rules["well_deadline_s"])
                        self.result["well_s"] = round(time.time() - broken.at, 2)
                        time.sleep(load_rules["after_s"])
                    ended = time.time()
            finally:
                if broken:
                    self.measure(load, watch, broken, began, time.time() if "well_s" not in self.result else ended)
        if rules["simulator"]:
            with self.phase("reconcile"):
                self.reconcile(load)
        with self.phase("fail back"):
            self.fail_back(leader, site)
        reasons = measure.limits_broken(self.result, rules["limits"], rules["fast_release"]) + self.unmoved(site)
        if reasons:
            self.result["reason"] = "; ".join(reasons)

    def begin(self, site: str, leader: str, hosts: list[str]) -> Broken:
        """At once on all hosts; raises Fault when one of them could not."""
        begun = ssh.at_once(hosts, lambda host: road.begin(host, self.fault_kind, self.for_s))
        if faults := [str(told) for told in begun.values() if isinstance(told, Fault)]:
            raise Fault("; ".join(faults))
        at = min(told for told in begun.values() if not isinstance(told, Fault))
        return Broken(site, leader, at, at + self.for_s)

    def unmoved(self, site: str) -> list[str]:
        found = []
        if self.fault_kind in MOVES_NAMES and self.result["dns_switch_s"] is None:
            found.append(f"the resolver went on answering {site}")
        if self.fault_kind in MOVES_LEADER and self.result["promoted_s"] is None:
            found.append("no other host was promoted")
        if self.result["rto_s"] is None:
            found.append("no payment was acknowledged after the fault")
        return found

    def measure(self, load: Load, watch: Watch, broken: Broken, began: float, ended: float) -> None:
        told, purchases = sorted(watch.all, key=lambda one: one.at), list(load.purchases)
        promoted_s = measure.promoted_s(told, broken)
        moves = self.fault_kind in MOVES_NAMES or promoted_s is not None
        self.result |= {
            "detected_s": measure.detected_s(told, broken),
            # Names that need not move may still do so for a moment: the timeline tells it, and no limit is on it.
            "dns_switch_s": measure.dns_switch_s(told, broken) if moves else None,
            "promoted_s": promoted_s,
            **measure.payments(purchases, broken, began, ended, self.rules["load"]),
            "fault_at_s": round(broken.at - self.began, 2),
            "fault_for_s": self.for_s,
            "events": measure.timeline(told, broken),
            "requests": measure.requests(purchases, broken),
            "faults_told": sorted({one.fault for one in purchases if one.fault})[:20],
        }

    def reconcile(self, load: Load) -> None:
        """A purchase that was charged and not acknowledged is finished by PayPal's webhooks: they get their time."""
        orders = [one.order for one in load.purchases if one.order]
        deadline = time.time() + self.rules["reconcile_deadline_s"]
        while True:
            unread = "no database leads, so payments can't be counted"
            try:
                if leader := self.look().leader:
                    rows = books.rows(leader, self.rules["database"], orders)
                    captures = books.captures(self.rules["simulator"], self.shop.internal, orders)
                    found = compare(load.purchases, rows, captures)
                    self.result |= found
                    unread = ""
            except Fault as reason:
                # A book that is not read at once is read again.
                unread = str(reason)
            if (not unread and not found["charged_without_order"]) or time.time() > deadline:
                break
            time.sleep(POLL_S)
        if unread:
            raise Fault(unread)

    def fail_back(self, leader: str, site: str) -> None:
        """The leader back to where it was, names with it, something bought; failback_s is None where it never left."""
        self.result["failback_s"] = None
        leads = self.look().leader
        self.result["new_leader"] = leads
        if leads == leader:
            return
        began, deadline = time.time(), time.time() + self.rules["failback_deadline_s"]
        while True:
            seconds = str(self.rules["switchover_deadline_s"])
            told = road.ask(leader, "switchover", leads, seconds, timeout_s=int(seconds) + 30)
            if "refused" not in told:
                break
            if time.time() > deadline:
                raise Fault(f"{leads} leads on, Patroni says: {told['refused']}")
            time.sleep(POLL_S)
        self.result["failback_write_pause_s"] = told["write_pause_s"]
        while not self.shop.buy().payment:
            if time.time() > deadline:
                raise Fault(f"{leader} leads again, but nothing can be bought")
        self.until_well(site, self.rules["well_deadline_s"])
        self.result["failback_s"] = round(time.time() - began, 2)

    def look(self) -> Any:
        return look(self.rules, self.shop.internal, self.shop.public, roads=False)

    def healed(self, hosts: list[str]) -> list[str]:
        """Asks, as a host that was silent may have to be; what is not healed yet."""
        return [str(told) for told in ssh.at_once(hosts, road.heal).values() if isinstance(told, Fault)]

    def until_well(self, site: str, deadline_s: float) -> None:
        def faults() -> list[str]:
            try:
                return unwell(self.rules, self.look(), site)
            except (OSError, HTTPException) as reason:
                return [str(reason)]

        self.until("all is well", faults, deadline_s)

    def until(self, what: str, faults: Callable[[], list[str]], deadline_s: float) -> None:
        """Wait until there are no faults; raises Fault with those that are left."""
        deadline = time.time() + deadline_s
        while left := faults():
            if time.time() > deadline:
                raise Fault(f"after {deadline_s:.0f} s not so that {what}: {'; '.join(left)}")
            time.sleep(POLL_S)

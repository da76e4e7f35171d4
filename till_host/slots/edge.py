"""The edge's backends and maps that follow from the state of the slots; in the files, then in the running HAProxy."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from till_host import files
from till_host.slots import haproxy
from till_host.slots import state as slots

EDGE = Path("/etc/haproxy")
BACKEND = EDGE / "slots.cfg"
# Tokens and the slots that they lead to.
TOKENS = EDGE / "tokens.map"
# What a session gets that has none: slot.kind and its token.
GIVEN = EDGE / "given.map"
# Beginnings of paths that are asked of both slots, and the slot that is asked first.
ASSETS = EDGE / "assets.map"
# How many times sooner a slot is asked again that has just failed, or is down.
SOONER = 4
# Lines that a running HAProxy can't be told.
FIXED = (" uri ", " set-path ")


def backend(state: dict[str, Any], policy: dict[str, Any]) -> str:
    """HAProxy's backends. A slot without a release is in maintenance, an idle one is checked but gets nothing."""
    cookie = (
        f"{policy['cookie']}=%[var(txn.given)]; Path=/; Max-Age={policy['sticky_s']}; Secure; HttpOnly; SameSite=Lax"
    )
    # A connection to each request: a server that stops never closes one under a request.
    lines = [
        "# Written from /var/lib/till/slots.json: edit neither.",
        "backend app",
        "    option http-server-close",
        f"    http-request set-var(txn.kept) req.cook({policy['cookie']}),map_str({TOKENS})",
    ]
    lines += [f"    use-server {slot} if {{ var(txn.kept) -m str {slot} }}" for slot in slots.SLOTS]
    for number, slot in enumerate(slots.SLOTS, start=1):
        answered, given = f"{{ srv_id {number} }}", "    http-response set-var(txn.given)"
        checkout, shared = (f"str({slot}.{kind}),map_str({GIVEN})" for kind in (slots.CHECKOUT, slots.SHARED))
        lines += [
            # Who pays stays until it is paid, so that no payment crosses releases.
            f"{given} {checkout} if {answered} {{ var(txn.payment) -m found }}",
            f"{given} {shared} if {answered} !{{ var(txn.payment) -m found }} !{{ var(txn.kept) -m found }}",
        ]
    lines.append(f'    http-response add-header Set-Cookie "{cookie}" if {{ var(txn.given) -m found }}')
    shares = slots.shares(state)
    for number, slot in enumerate(slots.SLOTS, start=1):
        place = f"127.0.0.1:{policy['ports'][slot]}"
        lines.append(f"    server {slot} {place} id {number} weight {shares[slot]} track check_{slot}/{slot}")
    lines += _assets(state, policy)
    for slot in slots.SLOTS:
        lines += _check(slot, state, policy)
    return "\n".join(lines) + "\n"


def _assets(state: dict[str, Any], policy: dict[str, Any]) -> list[str]:
    """A page that was loaded before a switch finds its files in the slot that is left: who has none is not the last."""
    first = f"var(txn.path),map_beg({ASSETS})"
    return [
        "backend assets",
        "    option http-server-close",
        "    retries 1",
        "    retry-on conn-failure 404",
        # Nobody else's first question meets a release that is being tried, or was taken back.
        *(f"    use-server {slot} if {{ {first} -m str {slot} }}" for slot in slots.SLOTS),
        *(f"    server {slot} 127.0.0.1:{policy['ports'][slot]} track check_{slot}/{slot}" for slot in slots.SLOTS),
    ]


def _check(slot: str, state: dict[str, Any], policy: dict[str, Any]) -> list[str]:
    """Checks and metrics are a release's own, so each slot has a backend of its own for them."""
    metrics, soon_ms = state["metrics"].get(slot), policy["check_interval_ms"] // SOONER
    return [
        f"backend check_{slot}",
        "    option httpchk",
        f"    http-check send meth GET uri {state['checks'].get(slot, policy['check_path'])}",
        "    http-check expect status 200",
        f"    http-request set-path {metrics}" if metrics else "    http-request return status 404",
        # Asked seldom while it is well: a check that fails is followed by the next ones at once.
        f"    server {slot} 127.0.0.1:{policy['ports'][slot]} check inter {policy['check_interval_ms']}ms"
        f" fastinter {soon_ms}ms downinter {soon_ms}ms"
        f" fall {policy['check_fall']} rise 1{'' if state[slot] else ' disabled'}",
    ]


def maps(state: dict[str, Any]) -> dict[Path, dict[str, str]]:
    """Each map's entries."""
    held = slots.tokens(state)
    given = {
        f"{slot}.{kind}": one
        for one, slot in held.items()
        for kind in (slots.CHECKOUT, slots.SHARED)
        if one == slots.token(state, slot, kind)
        # Who merely looks is kept to a release only while two of them are served.
        and (kind == slots.CHECKOUT or state["canary"])
    }
    first = state["active"] or slots.SLOTS[0]
    assets = {beginning: first for slot, beginning in state["assets"].items() if beginning and state[slot]}
    return {TOKENS: held, GIVEN: given, ASSETS: assets}


def render(state: dict[str, Any]) -> bool:
    """Keep them for reloads and restarts; true when one was another before."""
    if not EDGE.is_dir():
        return False
    wanted = {BACKEND: backend(state, slots.settings())}
    wanted |= {
        path: "".join(f"{key} {value}\n" for key, value in sorted(one.items())) for path, one in maps(state).items()
    }
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        files.replace(path, wanted[path])
    return bool(changed)


def tell(state: dict[str, Any]) -> None:
    """Give the running HAProxy the same weights and tokens, in one breath; raises Fault."""
    there = {slot: int(one["weight"] or 0) for slot, one in haproxy.servers().items()}
    commands = weighed(there, slots.shares(state))
    for path, entries in maps(state).items():
        known = haproxy.entries(path)
        if known is None:
            # One that the running HAProxy has not read yet comes with its next reload.
            continue
        commands += [f"del map {path} {key}" for key in known if key not in entries]
        # A key that stays is never missing meanwhile.
        commands += [
            f"{'set' if key in known else 'add'} map {path} {key} {value}"
            for key, value in entries.items()
            if known.get(key) != value
        ]
    haproxy.tell(*commands)


def weighed(there: dict[str, int], wanted: dict[str, int]) -> list[str]:
    """The commands that bring the weights that are there to those that are wanted. Pure.

    A weight that is set again, though it stays, makes HAProxy begin its round anew. Who gains traffic does so before
    another one loses it: a server whose weight has fallen waits for the next round, and whoever is weighed after it
    gets all that is left of this one (up to 100 requests in a row to a release on trial, measured with 2.6).
    """
    changed = [slot for slot, share in wanted.items() if there.get(slot) != share]
    changed.sort(key=lambda slot: wanted[slot] < there.get(slot, 0))
    return [f"set server app/{slot} weight {wanted[slot]}" for slot in changed]


def drained(quiet: list[str]) -> int:
    """Wait until these slots have ended their requests, for a while; how many are left."""
    deadline = time.monotonic() + slots.settings()["drain_s"]
    while (left := sum(haproxy.open_to(one) for one in quiet)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def runs() -> bool:
    return BACKEND.exists() and haproxy.runs()


def record(state: dict[str, Any], slot: str) -> None:
    """Keep the state, and let the edge check the slot or not, without traffic in either case."""
    slots.save(state)
    before = _fixed() if BACKEND.exists() else []
    render(state)
    if not runs():
        return
    if _fixed() != before:
        subprocess.run(["/usr/bin/systemctl", "reload", "haproxy.service"], check=True, timeout=60)
        return
    admin = "ready" if state[slot] else "maint"
    tell(state)
    haproxy.tell(f"set server check_{slot}/{slot} state {admin}")


def _fixed() -> list[str]:
    return [line for line in BACKEND.read_text().splitlines() if any(sign in line for sign in FIXED)]

"""The verbs of a whole stack: up, provision, smoke, verify, status, doctor, browse, down."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from till.cli.verb import Check, Diff, Json, Stack, answer, line
from till.progress import Progress


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    for verb in (up, provision, smoke, verify, status, doctor, browse, down):
        app.command()(verb)


def up(stack: Stack, as_json: Json = False) -> None:
    """From nothing to a paid order: pulumi up, provision, release, deploy, verify, buy."""
    from till.cli import tables
    from till.verbs import stack as stack_verbs

    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.up(stack, progress),
        lambda result: tables.closing(Console(), result),
    )


def provision(stack: Stack, check: Check = False, diff: Diff = False, tags: str = "", as_json: Json = False) -> None:
    """Converge the hosts; a second run changes nothing."""
    from till.verbs import stack as stack_verbs

    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.provision(stack, progress, check, diff, tags),
        line("changed", "changed_by_host"),
    )


def smoke(stack: Stack, as_json: Json = False) -> None:
    """Buy something through the public name and read the order back."""
    from till.verbs import stack as stack_verbs

    answer(
        stack, as_json, lambda progress: stack_verbs.buy(stack, progress), line("order_id", "payment_status", "version")
    )


def verify(stack: Stack, as_json: Json = False) -> None:
    """testinfra on every host of a stack."""
    from till.verbs import stack as stack_verbs

    answer(
        stack, as_json, lambda progress: stack_verbs.verify_hosts(stack, progress), line("passed", "failed", "skipped")
    )


def status(stack: Stack, as_json: Json = False) -> None:
    """Hosts, URLs, versions, who leads, certificates, what each nameserver answers."""
    from till.cli import tables
    from till.verbs import stack as stack_verbs

    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.state(stack, progress),
        lambda result: tables.stack(Console(), result, stack_verbs.under_way(result)),
    )


def doctor(as_json: Json = False) -> None:
    """Tools: what is there, which way it came, what is missing."""
    from tools.doctor import checks

    def work(_progress: Progress) -> dict[str, Any]:
        found = [vars(one) for one in checks()]
        return {"ok": all(one["ok"] for one in found), "tools": found}

    def show(result: dict[str, Any]) -> None:
        for one in result["tools"]:
            state = "ok" if one["ok"] else f"next: {one['fix']}"
            print(f"{one['name']:<22} {one['version']:<14} {one['came_by']:<14} {state}")

    answer("-", as_json, work, show)


def browse(
    stack: Stack,
    show: Annotated[bool, typer.Option("--print", help="print the command instead")] = False,
    as_json: Json = False,
) -> None:
    """Open the shop in Chromium with the stack's names and certificate."""
    from till.verbs import browse as browser

    def work(_progress: Progress) -> dict[str, Any]:
        if not show:
            browser.show(stack)
        return {"command": browser.printable(stack)}

    answer(stack, as_json, work, lambda result: print(result["command"]) if show else None)


def down(
    stack: Stack, confirm: Annotated[str, typer.Option(help="the stack's name, typed")] = "", as_json: Json = False
) -> None:
    """Remove a stack and everything that was made for it."""
    from till.verbs import stack as stack_verbs

    answer(stack, as_json, lambda progress: stack_verbs.down(stack, progress, confirm), line("phases"))

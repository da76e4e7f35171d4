"""The verbs around a deploy: signoff, checklist, history."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from till.cli.verb import Json, Stack, answer, line

Strategy = Annotated[str, typer.Option(help="that of the deploy; policy's by default")]
Version = Annotated[str, typer.Argument(help="a built release, like v1.1.0-paypal")]


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    app.command()(signoff)
    app.command()(checklist)
    app.command()(history)


def signoff(
    stack: Stack,
    version: Version,
    role: Annotated[str, typer.Option(help="who you are here: development, qa, devops, security, product or finance")],
    strategy: Strategy = "",
    item: Annotated[str, typer.Option(help="one item of the checklist; by default all that the role signs")] = "",
    by: Annotated[str, typer.Option(help="your name, where it is not your account's")] = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="take the sign-off back")] = False,
    why: Annotated[str, typer.Option(help="a word on it, for the journal")] = "",
    as_json: Json = False,
) -> None:
    """Sign a release off for a stack: this artefact, these settings, this plan, for a while."""
    from till.verbs import approvals

    answer(
        stack,
        as_json,
        lambda progress: approvals.sign(stack, version, strategy, role, item, by, revoke, why, progress),
        line("version", "role", "item", "revoked", "by", "expires_h"),
    )


def checklist(
    stack: Stack,
    version: Version,
    strategy: Strategy = "",
    document: Annotated[bool, typer.Option("--document", help="write the guide's sign-off document, too")] = False,
    as_json: Json = False,
) -> None:
    """The guide's checklist for a release: what is checked, what is signed, what is missing."""
    from till.verbs import approvals

    answer(
        stack,
        as_json,
        lambda progress: approvals.read_checklist(stack, version, strategy, document, progress),
        _show_checklist,
    )


def history(
    stack: Stack,
    verify: Annotated[bool, typer.Option("--verify", help="is every entry there, as it was written?")] = False,
    limit: Annotated[int, typer.Option(min=0, help="the newest so many; 0: all")] = 20,
    as_json: Json = False,
) -> None:
    """The changes of a stack, as its journal has them."""
    from till.verbs import approvals

    answer(stack, as_json, lambda progress: approvals.read_history(stack, limit, verify, progress), _show_history)


def _show_checklist(found: dict[str, Any]) -> None:
    console = Console()
    table = Table(title=f"Checklist of {found['version']} on {found['stack']}", title_justify="left")
    for column in ("item", "the guide says", "by", "holds", "sentence"):
        table.add_column(column, overflow="fold")
    words = {True: "yes", False: "[red]no[/red]", None: "-"}
    for section, items in groupby(found["items"], key=lambda one: one["section"]):
        table.add_section()
        table.add_row(f"[bold]{section}[/bold]")
        for one in items:
            table.add_row(one["item"], one["says"], one["by"], words[one["passed"]], _plain(one["sentence"]))
    console.print(table)
    if "document" in found:
        console.print(f"  document {found['document']}", markup=False, soft_wrap=True)
    for command in found["next"]:
        console.print(f"  next: {command}", markup=False, soft_wrap=True)


def _show_history(found: dict[str, Any]) -> None:
    console, table = Console(), Table(title="Changes", title_justify="left")
    for column in ("entry", "at", "by", "verb", "version", "verdict", "s", "reason"):
        table.add_column(column, overflow="fold")
    for one in found["changes"]:
        at = one["at"][:19].replace("T", " ") + "Z"
        took = "-" if one["duration_s"] is None else str(one["duration_s"])
        words = (one["by"], one["verb"], one["version"], one["verdict"], took, one["reason"])
        table.add_row(str(one["entry"]), at, *map(_plain, words))
    console.print(table)
    if "sentence" in found:
        told = (f"all {found['entries']} entries are chained", found["sentence"], *found["other_journals"])
        for sentence in told:
            console.print(f"  {sentence}", markup=False, soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)

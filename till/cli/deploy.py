"""The verbs around a deploy: back to the release before, and what changed between two."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from till.cli.verb import Json, Stack, answer, line


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    app.command()(rollback)
    app.command()(diff)


def rollback(
    stack: Stack,
    version: Annotated[str, typer.Argument(help="the one that is still warm, by default")] = "",
    override: Annotated[str, typer.Option(help="why it is done though the database was contracted")] = "",
    as_json: Json = False,
) -> None:
    """Lead traffic back to the release before, which is still warm: at once, then proven."""
    from till.verbs import stack as stack_verbs

    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.roll_back(stack, version, override, progress),
        line("old_version", "new_version", "rollback_s"),
    )


def diff(
    stack: Stack,
    old: Annotated[str, typer.Argument(help="the release that is compared with")],
    new: Annotated[str, typer.Argument(help="the release that is looked at")],
    as_json: Json = False,
) -> None:
    """Two built releases beside each other: manifest, size, source, components."""
    from till.releases import diff as release_diff
    from till.stacks.stack import contract

    answer(stack, as_json, lambda _progress: release_diff.between(contract(stack), old, new).model_dump(), _show_diff)


def _show_diff(found: dict[str, Any]) -> None:
    console, table = Console(), Table(title="Difference", title_justify="left")
    for column in ("", "what", found["old_version"], found["new_version"]):
        table.add_column(column, overflow="fold")
    for one in found["about"]:
        table.add_row(*_row("same" if one["old"] == one["new"] else "changed", one))
    for kind in ("changed", "added", "removed", "updated"):
        for one in found[kind]:
            table.add_row(*_row(kind, one))
    console.print(table)
    for sentence in found["unknown"]:
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)


def _row(kind: str, change: dict[str, Any]) -> list[Text]:
    # Text: what a manifest or an SBOM holds is no markup.
    sides = ["-" if change[side] in (None, "", []) else str(change[side]) for side in ("old", "new")]
    return [Text(cell) for cell in (kind, change["name"], *sides)]

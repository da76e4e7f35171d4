"""The verb `till incident`: what happened, and the documents of it: of lost sites, and of releases taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from till.cli.verb import Json, Stack, answer
from till_host.notifications.incident_document import clock

incident_app = typer.Typer(no_args_is_help=True, help="Incidents: what happened, as a document to go on with.")


@incident_app.command("list")
def incident_list(stack: Stack, as_json: Json = False) -> None:
    """Every incident that the hosts remember, brought home as documents; and the post-mortems of releases."""
    from till.verbs import incidents

    answer(stack, as_json, lambda _progress: incidents.list_incidents(stack), _show_list)


@incident_app.command("show")
def incident_show(
    stack: Stack, name: Annotated[str, typer.Argument(help="its id; by default the newest")] = "", as_json: Json = False
) -> None:
    """One document: timeline and measures as known now; what people wrote into it stays."""
    from till.verbs import incidents

    answer(stack, as_json, lambda progress: incidents.read_incident(stack, name, progress), _show_one)


def _show_list(result: dict[str, Any]) -> None:
    console, table = Console(), Table(title="Incidents", title_justify="left")
    for column in ("id", "began", "lost", "payments possible after s", "ended"):
        table.add_column(column, overflow="fold")
    for one in result["incidents"]:
        ended = "still open" if one["ended"] is None else clock(one["ended"])
        verified = str(one["measured"].get("verified_s", "-"))
        table.add_row(one["id"], clock(one["began"]), ", ".join(one["lost"]), verified, ended)
    console.print(table)
    for one in [*result["incidents"], *result["post_mortems"]]:
        console.print(one["document"], soft_wrap=True, markup=False)
    for host, reason in result["unheard"].items():
        console.print(f"{host} told nothing: {reason}", style="yellow", markup=False, soft_wrap=True)


def _show_one(result: dict[str, Any]) -> None:
    typer.echo(Path(result["document"]).read_text())
    typer.echo(result["document"])

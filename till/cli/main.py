"""The command `till`: one verb, one result, one exit code."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from till.cli import approvals, deploy, drills, incidents, recovery, stack, watch

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def _version(asked: bool) -> None:
    if asked:
        from tools.host_package import package_version, released_version

        print(f"till {released_version()}, programs of hosts {package_version()}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Till's version, and that of the programs it lays down.",
                           callback=_version, is_eager=True),
    ] = False,
) -> None:  # fmt: skip
    """The command `till`: one verb, one result, one exit code."""


for family in (stack, deploy, approvals, watch, recovery, drills):
    family.add_to(app)
app.add_typer(incidents.incident_app, name="incident")


def main() -> None:
    """Entry point."""
    # Like Ctrl-C: what is being done is ended in order, and no secret stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()

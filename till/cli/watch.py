"""The verb watch: what the host that watches sees of a release, second by second."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from till.cli.verb import Json, Stack, answer
from till.progress import Progress

# Where nobody looks at a screen, a line says at least this often that it goes on.
LINE_S = 60.0
STYLES = {"pass": "green", "insufficient": "yellow", "held": "yellow", "consider": "red", "immediate": "bold red"}


def add_to(app: typer.Typer) -> None:
    """Give the command this verb."""
    app.command()(watch)


def watch(
    stack: Stack,
    end: Annotated[bool, typer.Option("--end", help="nobody watches any longer, the release stays")] = False,
    as_json: Json = False,
) -> None:
    """Look on while the fleet watches a new release for its first hour; Ctrl-C leaves that going on."""
    from till.verbs import watch as watch_verbs

    def work(progress: Progress) -> dict[str, Any]:
        if end:
            return watch_verbs.end_watch(stack, progress)
        return watch_verbs.state(stack, progress, None if as_json else shown_by(Console()))

    answer(stack, as_json, work, lambda result: print(closing(result)))


class shown_by:
    """Shows each state: a table that stays in its place on a terminal, lines of what is new elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console, self._said, self._said_at = console, "", 0.0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> shown_by:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, found: dict[str, Any]) -> None:
        if self._live:
            self._live.update(table(found), refresh=True)
            return
        said = verdicts(found)
        if said != self._said or time.monotonic() - self._said_at > LINE_S:
            self._said, self._said_at = said, time.monotonic()
            self._console.print(said, markup=False, soft_wrap=True)


def verdicts(found: dict[str, Any]) -> str:
    """One line: each measure's verdict, and the sentences of what is not good. Pure."""
    look = found.get("look") or {"measures": {}}
    measures = look["measures"].items()
    what = ", ".join(f"{name} {one['verdict']}" for name, one in measures) or "nobody has looked yet"
    wrong = [one["sentence"] for _, one in measures if one["verdict"] not in ("pass", "insufficient")]
    return "; ".join([f"{found['watch']['version']}: {what}", *wrong])


def table(found: dict[str, Any]) -> Table:
    """The state as a table. Pure."""
    watched, look = found["watch"], found.get("look") or {"measures": {}}
    left_s = max(0, round(watched["until"] - watched["now"]))
    title = f"{watched['version']} after {watched['old_version']}, watched for {left_s // 60}:{left_s % 60:02d} more"
    shown = Table(title=Text(title), title_justify="left")
    for column in ("measure", "verdict", "what was seen"):
        shown.add_column(column, overflow="fold")
    for name, one in look["measures"].items():
        shown.add_row(name, Text(one["verdict"], style=STYLES.get(one["verdict"], "")), Text(one["sentence"]))
    for words in filter(None, (watched["waits"] and f"waits for the lock: {watched['waits']}",)):
        shown.add_row("way back", "", Text(words))
    return shown


def closing(result: dict[str, Any]) -> str:
    """The last line. Pure."""
    watched = result["watch"]
    if watched is None:
        return f"{result['stack']}: no release was watched"
    if watched["ended"]:
        at = f"{datetime.fromtimestamp(watched['ended']['at'], UTC):%Y-%m-%d %H:%M:%S}Z"
        return f"{result['stack']}: the watch of {watched['version']} ended {at}: {watched['ended']['why']}"
    return f"{result['stack']}: {watched['version']} is watched on: till watch {result['stack']}"

"""The verbs that keep the data, bring it back and move it: backup, restore, failover, failback."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from till.cli.verb import Json, Stack, answer, line

Repository = Annotated[int, typer.Option(min=1, max=2, help="1: on the backup host, 2: elsewhere (till:backupOffsite)")]
AnyRepository = Annotated[
    int, typer.Option("--repository", min=0, max=2, help="1: on the backup host, 2: elsewhere, 0: all there are")
]
backup_app = typer.Typer(no_args_is_help=True, help="Backups of the database: make, list, read through.")


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    app.add_typer(backup_app, name="backup")
    app.command()(restore)
    app.command()(failover)
    app.command()(failback)


@backup_app.command("now")
def backup_now(
    stack: Stack,
    kind: Annotated[str, typer.Option("--type", help="full, diff or incr; by default the type that is due")] = "",
    repository: AnyRepository = 0,
    as_json: Json = False,
) -> None:
    """Make a backup now."""
    from till.verbs import recovery

    answer(
        stack,
        as_json,
        lambda progress: recovery.backup_now(stack, kind, repository, progress),
        line("type", "label", "database_bytes", "repository_bytes"),
    )


@backup_app.command("list")
def backup_list(stack: Stack, as_json: Json = False) -> None:
    """The backups there are, the WAL behind them, and what is not as policy wants it."""
    from till.verbs import recovery

    answer(stack, as_json, lambda _progress: recovery.backup_list(stack), _show_backups)


@backup_app.command("verify")
def backup_verify(stack: Stack, repository: AnyRepository = 0, as_json: Json = False) -> None:
    """Read every backup and every segment of WAL, and look for gaps."""
    from till.verbs import recovery

    answer(
        stack,
        as_json,
        lambda progress: recovery.backup_verify(stack, repository, progress),
        line("verified_backups", "verify_s", "faults"),
    )


@backup_app.command("config")
def backup_config(stack: Stack, as_json: Json = False) -> None:
    """Save every host's configuration and the stack's state now; `till provision` does so at its end."""
    from till.verbs import recovery

    answer(stack, as_json, lambda progress: recovery.backup_config(stack, progress), _show_config)


def restore(
    stack: Stack,
    to: Annotated[
        str, typer.Option("--to", help="latest, or a time like 2026-01-31T13:05:00+04:00 (UTC without zone)")
    ],
    repository: Repository = 1,
    host: Annotated[str, typer.Option(help="where to restore; by default where the database leads")] = "",
    confirm: Annotated[str, typer.Option(help="the stack's name, typed, where a live database is replaced")] = "",
    as_json: Json = False,
) -> None:
    """Restore the database: beside the old one, proven, then in its place; run again, it goes on."""
    from till.verbs import recovery

    shown = ("host", "label", "recovered_to", "verified_rows", "rto_s")
    answer(
        stack,
        as_json,
        lambda progress: recovery.restore_database(stack, to, repository, host, confirm, progress),
        line(*shown),
    )


MOVED = ("from_site", "to_site", "changed", "released", "promoted_s", "write_pause_s", "dns_switch_s", "rto_s")
Confirm = Annotated[str, typer.Option(help="the stack's name, typed, where payments are real")]


def failover(
    stack: Stack,
    to: Annotated[str, typer.Option("--to", help="the site that is to lead")],
    force: Annotated[
        bool, typer.Option("--force", help="the host that leads is gone: don't wait for its lease")
    ] = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Move the database's leader, and with it the names, to another site, as planned and without loss."""
    from till.verbs import recovery

    answer(
        stack,
        as_json,
        lambda progress: recovery.move_leader(stack, "failover", to, confirm, force, progress),
        line(*MOVED),
    )


def failback(stack: Stack, confirm: Confirm = "", as_json: Json = False) -> None:
    """The same move to the stack's first site."""
    from till.verbs import recovery

    answer(
        stack,
        as_json,
        lambda progress: recovery.move_leader(stack, "failback", "", confirm, False, progress),
        line(*MOVED),
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _show_backups(found: dict[str, Any]) -> None:
    console, table = Console(), Table(title="Backups", title_justify="left")
    for column in ("label", "type", "ended", "repository", "database MB", "stored MB"):
        table.add_column(column, justify="right" if "MB" in column else "left", no_wrap=True)
    for one in [*found["backups"], *found.get("offsite", {}).get("backups", [])]:
        sizes = (f"{one['database_bytes'] / 1e6:.1f}", f"{one['repository_bytes'] / 1e6:.1f}")
        table.add_row(one["label"], one["type"], _time(one["stop"]), str(one["repository"]), *sizes)
    console.print(table)
    console.print(f"WAL {found['wal_min'] or 'none'} to {found['wal_max'] or 'none'}", soft_wrap=True)
    for fault in found["faults"]:
        console.print(f"fault: {fault}", style="red", markup=False, soft_wrap=True)


def _show_config(found: dict[str, Any]) -> None:
    for host, one in found["config_backup"].items():
        typer.echo(f"{host}  snapshot {one['snapshot_id']}, {one['files']} files, {one['duration_s']} s")

"""The verbs that rehearse: drill restore, drill failover, drill list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from till.cli.recovery import Confirm, Repository
from till.cli.verb import Json, Stack, answer, line

drill_app = typer.Typer(no_args_is_help=True, help="Drills: recovery rehearsed and measured.")
RESTORED = ("rpo_s", "rto_s", "verified_tables", "verified_rows", "restore_bytes_per_s", "disk_bytes_per_s", "report")
FAILED_OVER = (
    "fault", "detected_s", "dns_switch_s", "promoted_s", "rto_s", "acknowledged_payments", "failed_requests",
    "lost_payments", "duplicated_payments", "failback_s", "report",
)  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    app.add_typer(drill_app, name="drill")


@drill_app.command("restore")
def drill_restore(stack: Stack, repository: Repository = 1, as_json: Json = False) -> None:
    """Restore the newest backup beside the running database, compare row by row, measure, clean up."""
    from till.verbs import drills

    answer(stack, as_json, lambda progress: drills.hold_restore(stack, repository, progress), line(*RESTORED))


@drill_app.command("failover")
def drill_failover(
    stack: Stack,
    fault: Annotated[str, typer.Option(help="host-kill, site-partition, db-kill, edge-kill or dns-kill")],
    override: Annotated[str, typer.Option(help="why a production stack is broken outside of its window")] = "",
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Break the site that leads while customers pay; measure, count every payment, heal, fail back."""
    from till.verbs import drills

    answer(
        stack,
        as_json,
        lambda progress: drills.hold_failover(stack, fault, override, confirm, progress),
        line(*FAILED_OVER),
    )


@drill_app.command("list")
def drill_list(stack: Stack, as_json: Json = False) -> None:
    """The drills that were held, by hand or by timer."""
    from till.verbs import drills

    answer(stack, as_json, lambda _progress: drills.list_drills(stack), _show)


def _show(found: dict[str, Any]) -> None:
    console, table = Console(), Table(title="Drills", title_justify="left")
    for column in ("held", "drill", "good", "RPO s", "RTO s", "rows", "payments", "lost", "reason"):
        table.add_column(column, overflow="fold")
    for one in found["drills"]:
        keys = ("rpo_s", "rto_s", "verified_rows", "acknowledged_payments", "lost_payments")
        numbers = (str(one.get(key, "-")) for key in keys)
        held = datetime.fromtimestamp(one["at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        name = f"{one['drill']} {one.get('fault', '')}".strip()
        table.add_row(held, name, "yes" if one["ok"] else "no", *numbers, str(one.get("reason", "")))
    console.print(table)
    for path in found["reports"]:
        console.print(path, soft_wrap=True, markup=False)

"""The benchmark's result as a table that people read."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

MB = 1_000_000
GB = 1_000_000_000


def show(result: dict[str, Any], console: Console) -> None:
    """Print the cases, then what they stand on, then each bar's sentence."""
    table = Table(title="Restores, flushed to the disk")
    table.add_column("case", no_wrap=True)
    for column in ("median s", "least to most s", "MB/s", "of the disk", "CPU"):
        table.add_column(column, justify="right")
    for name, case in result["cases"].items():
        seconds = case["elapsed_s"]
        table.add_row(
            name,
            f"{seconds['median']:.1f}",
            f"{seconds['min']:.1f} to {seconds['max']:.1f}",
            f"{case['bytes_per_s']['median'] / MB:.0f}",
            f"{case['disk_ratio']['median']:.0%}",
            f"{case['cpu_ratio']:.0%}",
        )
    console.print(table)
    for line in lines(result):
        console.print(line, soft_wrap=True)


def lines(result: dict[str, Any]) -> list[str]:
    """Sentences below the table. Pure."""
    disk, machine = result["disk_bytes_per_s"], result["machine"]
    told = [
        f"database: {result['database_bytes'] / GB:.2f} GB, {result['database_rows']} rows",
        f"disk, written in sequence: median {disk['median'] / MB:.0f} MB/s,"
        f" {disk['min'] / MB:.0f} to {disk['max'] / MB:.0f} in {len(disk['all'])} probes",
        f"machine: {machine['cores']} cores ({machine['processor']}), disk {machine['disk']}, {machine['file_system']}",
        f"versions: {machine['postgresql']}; {machine['pgbackrest']}",
    ]
    for name, made in result["repositories"].items():
        told.append(
            f"repository {name}: {made['bytes'] / GB:.2f} GB, compressed {made['compression_ratio']:.1f} to 1,"
            f" backed up in {made['elapsed_s']:.0f} s"
        )
    for what, ratio in result["changed_pages_ratio"].items():
        changed, every = result["changed_files"][what]
        told.append(f"{what} pages changed: {ratio['median']:.2%} of all, in {changed} of {every} files")
    return told + [bar["sentence"] for bar in result["bars"]]

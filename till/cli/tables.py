"""The tables that a person reads at the end."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def closing(console: Console, result: dict[str, Any]) -> None:
    """What stands after `till up`: URLs, version, order, times, and what to try next."""
    stack, bought, phases = result["stack"], result["order"], result["phases"]
    table = Table(title=f"Stack {stack} is up", show_header=False, title_justify="left")
    for name, url in result["urls"].items():
        table.add_row(name, url)
    table.add_row("release", result["version"])
    table.add_row(
        "paid order", f"{bought['order_id']} ({bought['payment_status']}, transaction {bought['transaction_id']})"
    )
    table.add_row("times", "\n".join(f"{name:<10} {seconds:7.1f} s" for name, seconds in phases.items()))
    table.add_row("total", f"{sum(phases.values()):.1f} s")
    console.print(table)
    # A command that is cut by a narrow terminal's edge can't be copied.
    console.print(
        "Open it in a browser on this machine (names and certificate of the lab, nothing of yours is changed):",
        soft_wrap=True,
    )
    console.print(f"  .venv/bin/till browse {stack}", markup=False)
    console.print("Next:")
    for command, purpose in (
        (f"till status {stack}", "hosts, versions, who leads"),
        (f"till smoke {stack}", "buy again"),
        (f"till provision {stack} --check", "would anything change? (no)"),
        (f"till release build {stack} --version v1.1.0-paypal", "build another release"),
        (f"till deploy {stack} v1.1.0-paypal", "ship it"),
        ("make down", "remove all of it"),
    ):
        console.print(
            f"  .venv/bin/{command:<55} {purpose}" if command.startswith("till") else f"  {command:<65} {purpose}",
            markup=False,
            soft_wrap=True,
        )


def stack(console: Console, found: dict[str, Any], under_way: str) -> None:
    """`till status` for a person; `under_way` names the change that holds the lock."""
    table = Table(title="Hosts", title_justify="left")
    for column in ("name", "address", "site", "serves", "database", "certificate until"):
        # An address or a version that is cut off is of no use.
        table.add_column(column, overflow="fold", no_wrap=column == "address")
    members = {member["name"]: member for member in found["database"]["members"]}
    for host in found["hosts"]:
        name = host["name"]
        member = members.get(name)
        certificate = found["certificates"].get(name, {})
        table.add_row(
            name,
            f"{host['address']}:{host['port']}",
            host["site"],
            str(found["versions"].get(name) or ("-" if "edge" not in host["roles"] else "nothing")),
            f"{member['role']}, {member['state']}" if member else "-",
            certificate.get("not_after", certificate.get("fault", "-")),
        )
    console.print(table)
    for name, url in found["urls"].items():
        console.print(f"  {name:<6} {url}")
    for site, told in found["sites"].items():
        health = ", ".join(f"{edge} {code or 'no answer'}" for edge, code in told["health"].items())
        leads = f"; leads since {since(found['database'])}" if told["leads"] else ""
        console.print(f"  site {site}: health {health}{leads}", markup=False, soft_wrap=True)
    for server, told in found["dns"]["nameservers"].items():
        # At a provider they have neither.
        kept = f" (serial {told['serial']}, order since {since(told)})" if "serial" in told else ""
        answer = told.get("fault") or f"{', '.join(told['addresses'])}{kept}"
        console.print(f"  {server:<6} {found['dns']['name']}: {answer}", markup=False)
    for version in sorted(set(found["programs"].values())):
        hosts = ", ".join(name for name, one in found["programs"].items() if one == version)
        console.print(f"  programs of Till {version or 'missing'}: {hosts}", markup=False, soft_wrap=True)
    if under_way:
        console.print(f"  under way: {under_way}", markup=False, soft_wrap=True)
    if not found["dns"]["agree"]:
        console.print("  the nameservers do not agree", style="yellow")
    for fault in found["faults"]:
        console.print(f"  fault: {fault}", style="red", markup=False)


def since(told: dict[str, Any]) -> str:
    """A time for a person; what is not known has been so from the beginning."""
    return str(told.get("since") or "its beginning")[:19].replace("T", " ")

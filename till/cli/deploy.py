"""The verbs of releases: build one, deploy it, lead back to the one before, compare two."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from till.cli.verb import Check, Diff, Json, Stack, answer, line

release_app = typer.Typer(no_args_is_help=True, help="Build releases.")


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    app.add_typer(release_app, name="release")
    for verb in (deploy, rollback, diff):
        app.command()(verb)


@release_app.command("build")
def release_build(
    stack: Stack,
    version: Annotated[str, typer.Option(help="like v1.0.0-paypal")],
    source: Annotated[
        str, typer.Option(help="folder with an app.yml, or GIT-URL@REF[#FOLDER]; the reference storefront by default")
    ] = "",
    test: Annotated[bool, typer.Option("--test", help="run its tests, and release nothing where one fails")] = False,
    as_json: Json = False,
) -> None:
    """Build a release once, into a hashed, signed artefact with an SBOM."""
    from till.verbs import deploy as deploy_verbs

    answer(
        stack,
        as_json,
        lambda progress: deploy_verbs.build_release(
            stack, version, source or str(deploy_verbs.STOREFRONT), progress, test
        ),
        line("version", "sha256", "size_bytes", "tests_passed"),
    )


def deploy(
    stack: Stack,
    version: Annotated[str, typer.Argument()],
    strategy: Annotated[str, typer.Option(help="blue-green, rolling or canary; policy's by default")] = "",
    bake_s: Annotated[float | None, typer.Option(help="seconds at all of the traffic before it is kept")] = None,
    override: Annotated[str, typer.Option(help="why a rule of policy does not count this time")] = "",
    check: Check = False,
    diff: Diff = False,
    as_json: Json = False,
) -> None:
    """Ship a built release to the idle slot, try it, give it traffic step by step, or keep the old one."""
    from till.verbs import deploy as deploy_verbs

    answer(
        stack,
        as_json,
        lambda progress: deploy_verbs.deploy_release(
            stack, version, progress, strategy=strategy, bake_s=bake_s, override=override, check=check, diff=diff
        ),
        line("old_version", "new_version", "verdict", "changed", "switch_s", "failed_requests"),
    )


def rollback(
    stack: Stack,
    version: Annotated[str, typer.Argument(help="the one that is still warm, by default")] = "",
    override: Annotated[str, typer.Option(help="why it is done though the database was contracted")] = "",
    as_json: Json = False,
) -> None:
    """Lead traffic back to the release before, which is still warm: at once, then proven."""
    from till.verbs import deploy as deploy_verbs

    answer(
        stack,
        as_json,
        lambda progress: deploy_verbs.roll_back(stack, version, override, progress),
        line("old_version", "new_version", "rollback_s"),
    )


def diff(
    stack: Stack,
    old: Annotated[str, typer.Argument(help="the release that is compared with")],
    new: Annotated[str, typer.Argument(help="the release that is looked at")],
    as_json: Json = False,
) -> None:
    """Two built releases beside each other: manifest, size, source, components."""
    from till.verbs import deploy as deploy_verbs

    answer(stack, as_json, lambda _progress: deploy_verbs.compare_releases(stack, old, new), _show_diff)


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

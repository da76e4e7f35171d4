"""The command `till`: one verb, one result, one exit code."""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer
from rich.console import Console

from till.cli import approvals, drills, incidents, recovery, watch
from till.cli import deploy as deploy_cli
from till.cli.verb import Check, Diff, Json, Stack, answer, line
from till.progress import Progress

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


release_app = typer.Typer(no_args_is_help=True, help="Build releases.")
app.add_typer(release_app, name="release")
recovery.add_to(app)
drills.add_to(app)
deploy_cli.add_to(app)
approvals.add_to(app)
watch.add_to(app)
app.add_typer(incidents.incident_app, name="incident")


@app.command()
def up(stack: Stack, as_json: Json = False) -> None:
    """From nothing to a paid order: pulumi up, provision, release, deploy, verify, buy."""
    from till.cli import tables
    from till.verbs import stack as stack_verbs

    contracts: list[Any] = []

    def work(progress: Progress) -> dict[str, Any]:
        contract, result = stack_verbs.up(stack, progress)
        contracts.append(contract)
        return result

    def show(result: dict[str, Any]) -> None:
        tables.closing(Console(), contracts[0], result["version"], result["phases"], result["order"])

    answer(stack, as_json, work, show)


@app.command()
def provision(stack: Stack, check: Check = False, diff: Diff = False, tags: str = "", as_json: Json = False) -> None:
    """Converge the hosts; a second run changes nothing."""
    from till.verbs import stack as stack_verbs

    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.provision(stack, progress, check, diff, tags),
        line("changed", "changed_by_host"),
    )


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
    from till.verbs import stack as stack_verbs

    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.build_release(
            stack, version, source or str(stack_verbs.STOREFRONT), progress, test
        ),
        line("version", "sha256", "size_bytes", "tests_passed"),
    )


@app.command()
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
    from till.rollout import deploy
    from till.verbs import stack as stack_verbs

    request = deploy.DeployRequest(version, strategy, bake_s, override)
    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.deploy_release(stack, request, progress, check, diff),
        line("old_version", "new_version", "verdict", "changed", "switch_s", "failed_requests"),
    )


@app.command()
def smoke(stack: Stack, as_json: Json = False) -> None:
    """Buy something through the public name and read the order back."""
    from till.verbs import stack as stack_verbs

    answer(
        stack, as_json, lambda progress: stack_verbs.buy(stack, progress), line("order_id", "payment_status", "version")
    )


@app.command()
def verify(stack: Stack, as_json: Json = False) -> None:
    """testinfra on every host of a stack."""
    from till.verbs import stack as stack_verbs

    answer(
        stack, as_json, lambda progress: stack_verbs.verify_hosts(stack, progress), line("passed", "failed", "skipped")
    )


@app.command()
def status(stack: Stack, as_json: Json = False) -> None:
    """Hosts, URLs, versions, who leads, certificates, what each nameserver answers."""
    from till.cli import tables
    from till.verbs import stack as stack_verbs

    answer(
        stack,
        as_json,
        lambda progress: stack_verbs.state(stack, progress),
        lambda result: tables.stack(Console(), result),
    )


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tools: what is there, which way it came, what is missing."""
    from tools.doctor import checks

    def work(_progress: Progress) -> dict[str, Any]:
        found = [vars(one) for one in checks()]
        return {"ok": all(one["ok"] for one in found), "tools": found}

    def show(result: dict[str, Any]) -> None:
        for one in result["tools"]:
            state = "ok" if one["ok"] else f"next: {one['fix']}"
            print(f"{one['name']:<22} {one['version']:<14} {one['came_by']:<14} {state}")

    answer("-", as_json, work, show)


@app.command()
def browse(
    stack: Stack,
    show: Annotated[bool, typer.Option("--print", help="print the command instead")] = False,
    as_json: Json = False,
) -> None:
    """Open the shop in Chromium with the stack's names and certificate."""
    from till.stacks.stack import contract
    from till.verbs import browse as browser

    def work(_progress: Progress) -> dict[str, Any]:
        if not show:
            browser.show(contract(stack))
        return {"command": browser.printable(contract(stack))}

    answer(stack, as_json, work, lambda result: print(result["command"]) if show else None)


@app.command()
def down(
    stack: Stack, confirm: Annotated[str, typer.Option(help="the stack's name, typed")] = "", as_json: Json = False
) -> None:
    """Remove a stack and everything that was made for it."""
    from till.verbs import stack as stack_verbs

    answer(stack, as_json, lambda progress: stack_verbs.down(stack, progress, confirm), line("phases"))


def main() -> None:
    """Entry point."""
    # Like Ctrl-C: what is being done is ended in order, and no secret stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()

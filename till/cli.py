"""The command `till`: one verb, one result, one exit code."""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from till.errors import Interrupted, TillError
from till.progress import Progress

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
release_app = typer.Typer(no_args_is_help=True, help="Build releases.")
app.add_typer(release_app, name="release")

Stack = Annotated[str, typer.Argument(help="lab, staging or production")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]
Check = Annotated[bool, typer.Option("--check", help="change nothing, tell what would change")]
Diff = Annotated[bool, typer.Option("--diff", help="show the changed lines")]


def _answer(
    stack: str, as_json: bool, work: Callable[[Progress], dict[str, Any]], show: Callable[[dict[str, Any]], None]
) -> None:
    """Run a verb; print its result or its error; exit with the code of the design."""
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    progress = Progress()
    code, result = 0, {}
    error: TillError | None = None
    try:
        result = work(progress)
        if result.get("ok") is False:
            code = 1
    except TillError as reason:
        code, error = reason.exit_code, reason
    except KeyboardInterrupt:
        error = Interrupted("interrupted; what is done stays done", "run the same command again: it converges")
        code = error.exit_code
    except Exception as reason:
        # Where it came from, but not its words: they could hold secrets of a contract.
        print("".join(traceback.format_tb(reason.__traceback__)), file=sys.stderr)
        code, error = 1, _unexpected(reason)
    document = {
        "ok": code == 0,
        "stack": stack,
        "started_at": started_at,
        "duration_s": round(time.monotonic() - began, 1),
        **{name: value for name, value in result.items() if name != "ok"},
    }
    if error is not None:
        document |= {**error.facts, "error": error.message, "next": error.next_command, "phases": progress.phases}
    if as_json:
        print(json.dumps(document, default=str))
    elif error is None:
        show(document)
    if error is not None:
        print(f"till: {error}", file=sys.stderr)
    raise typer.Exit(code)


def _unexpected(reason: Exception) -> TillError:
    frame = traceback.extract_tb(reason.__traceback__)[-1]
    place = f"{frame.filename}:{frame.lineno}"
    return TillError(f"unexpected {type(reason).__name__} at {place}", "report it with the lines above")


def _line(*names: str) -> Callable[[dict[str, Any]], None]:
    def show(result: dict[str, Any]) -> None:
        told = ", ".join(f"{name} {result[name]}" for name in names if name in result)
        print(f"{result['stack']}: {told} ({result['duration_s']} s)")

    return show


@app.command()
def up(stack: Stack, as_json: Json = False) -> None:
    """From nothing to a paid order: pulumi up, provision, release, deploy, verify, buy."""
    from till import flow, report

    contracts: list[Any] = []

    def work(progress: Progress) -> dict[str, Any]:
        contract, result = flow.up(stack, progress)
        contracts.append(contract)
        return result

    def show(result: dict[str, Any]) -> None:
        report.closing(Console(), contracts[0], result["version"], result["phases"], result["order"])

    _answer(stack, as_json, work, show)


@app.command()
def provision(stack: Stack, check: Check = False, diff: Diff = False, tags: str = "", as_json: Json = False) -> None:
    """Converge the hosts; a second run changes nothing."""
    from till import flow

    _answer(
        stack,
        as_json,
        lambda progress: flow.provision(stack, progress, check, diff, tags),
        _line("changed", "changed_by_host"),
    )


@release_app.command("build")
def release_build(
    stack: Stack,
    version: Annotated[str, typer.Option(help="like v1.0.0-paypal")],
    source: Annotated[
        Path | None, typer.Option(help="folder with an app.yml; the reference storefront by default")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build a release once, into a hashed artefact."""
    from till import flow

    _answer(
        stack,
        as_json,
        lambda progress: flow.build_release(stack, version, source or flow.STOREFRONT, progress),
        _line("version", "sha256", "size_bytes"),
    )


@app.command()
def deploy(
    stack: Stack,
    version: Annotated[str, typer.Argument()],
    check: Check = False,
    diff: Diff = False,
    as_json: Json = False,
) -> None:
    """Ship a built release to the idle slot, gate, switch, gate again, or keep the old one."""
    from till import flow

    _answer(
        stack,
        as_json,
        lambda progress: flow.deploy_release(stack, version, progress, check, diff),
        _line("old_version", "new_version", "changed", "switch_s"),
    )


@app.command()
def smoke(stack: Stack, as_json: Json = False) -> None:
    """Buy something through the public name and read the order back."""
    from till import flow

    _answer(stack, as_json, lambda progress: flow.buy(stack, progress), _line("order_id", "payment_status", "version"))


@app.command()
def verify(stack: Stack, as_json: Json = False) -> None:
    """testinfra on every host of a stack."""
    from till import flow

    _answer(stack, as_json, lambda progress: flow.verified(stack, progress), _line("passed", "failed", "skipped"))


@app.command()
def status(stack: Stack, as_json: Json = False) -> None:
    """Hosts, URLs, versions, who leads, certificates."""
    from till import flow, report

    _answer(stack, as_json, lambda _progress: flow.state(stack), lambda result: report.stack(Console(), result))


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

    _answer("-", as_json, work, show)


@app.command()
def browse(
    stack: Stack,
    show: Annotated[bool, typer.Option("--print", help="print the command instead")] = False,
    as_json: Json = False,
) -> None:
    """Open the shop in Chromium with the stack's names and certificate."""
    from till import browse as browser
    from till.stack import contract

    def work(_progress: Progress) -> dict[str, Any]:
        if not show:
            browser.show(contract(stack))
        return {"command": browser.printable(contract(stack))}

    _answer(stack, as_json, work, lambda result: print(result["command"]) if show else None)


@app.command()
def down(
    stack: Stack, confirm: Annotated[str, typer.Option(help="the stack's name, typed")] = "", as_json: Json = False
) -> None:
    """Remove a stack and everything that was made for it."""
    from till import flow

    _answer(stack, as_json, lambda progress: flow.down(stack, progress, confirm), _line("phases"))


def main() -> None:
    """Entry point."""
    # Like Ctrl-C: what is being done is ended in order, and no secret stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()

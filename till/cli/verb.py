"""What every verb shares: its arguments, its result as JSON or in words, its exit code."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from till.errors import Interrupted, TillError, Unexpected
from till.progress import Progress

Stack = Annotated[str, typer.Argument(help="lab, staging or production")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]
Check = Annotated[bool, typer.Option("--check", help="change nothing, tell what would change")]
Diff = Annotated[bool, typer.Option("--diff", help="show the changed lines")]


def answer(
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
        error = Unexpected(reason)
        code = error.exit_code
    if isinstance(error, Unexpected):
        print(error.lines, file=sys.stderr)
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


def line(*names: str) -> Callable[[dict[str, Any]], None]:
    def show(result: dict[str, Any]) -> None:
        told = ", ".join(f"{name} {result[name]}" for name in names if name in result)
        print(f"{result['stack']}: {told} ({result['duration_s']} s)")

    return show

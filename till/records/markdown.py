"""Documents for people, in Markdown: filled in from templates, kept so that what people wrote stays."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from till_host.notifications.incident_document import PEOPLE


def render(template: Path, **known: Any) -> str:
    """A template with what is known. Pure but for reading it."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - Markdown for people, no page
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.finalize = cell
    return environment.from_string(template.read_text()).render(**known, people=PEOPLE)


def write(path: Path, text: str, again: Callable[[str, str], str]) -> Path:
    """Keep a document; one that is there becomes what `again` makes of it and the new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        text = again(path.read_text(), text)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.rename(path)
    return path


def cell(value: Any) -> Any:
    """One line that ends no cell of a table and is no HTML."""
    if not isinstance(value, str) or value == PEOPLE:
        return value
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(value.split()).replace("|", "\\|"))

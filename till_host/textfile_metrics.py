"""Writes metrics where node_exporter's textfile collector finds them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path("/var/lib/prometheus/node-exporter")
Metric = tuple[str, dict[str, str], float]


def text(metrics: Iterable[Metric]) -> str:
    """The exposition format: one line for each (name, labels, value). Pure."""
    lines = []
    for name, labels, value in metrics:
        inner = ",".join(f"{key}={json.dumps(label)}" for key, label in sorted(labels.items()))
        lines.append(f"{name}{{{inner}}} {value:.15g}" if inner else f"{name} {value:.15g}")
    return "\n".join(lines) + "\n"


def write(file: str, metrics: Iterable[Metric], folder: Path = FOLDER) -> None:
    """Replace `file` (NAME.prom) in one step; without a collector on this host there is nothing to do."""
    if folder.is_dir():
        replace(folder / file, text(metrics), 0o644)


def replace(path: Path, content: str, mode: int) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    descriptor, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        Path(made).chmod(mode)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise

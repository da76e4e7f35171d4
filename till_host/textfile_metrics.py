"""Writes metrics where node_exporter's textfile collector finds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from till_host import files

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
        files.publish(folder / file, text(metrics))

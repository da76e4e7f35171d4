"""The page that a drill leaves for people: what was proven, how long each phase took, what the guide allows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till.paths import CHECKOUT, STATE

TEMPLATES = CHECKOUT / "templates"
WIDTH = 720
UNITS = (("B/s", 1.0), ("kB/s", 1e3), ("MB/s", 1e6), ("GB/s", 1e9))


def folder(stack: str) -> Path:
    return STATE / "reports" / stack


def write(stack: str, result: dict[str, Any]) -> Path:
    """Render the report of a drill's result; its path."""
    path = folder(stack) / f"{result['name']}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(stack, result))
    return path


def written(stack: str) -> list[Path]:
    """The reports of a stack, oldest first."""
    return sorted(folder(stack).glob("*.html"))


def render(stack: str, result: dict[str, Any]) -> str:
    """The page as HTML; everything in it is escaped. Pure but for reading the template."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["rate"] = rate
    return environment.get_template("drill_restore.html.j2").render(
        stack=stack,
        result=result,
        at=datetime.fromtimestamp(result["at"], UTC).isoformat(timespec="seconds"),
        bars=bars(result["phases"]),
        width=WIDTH,
    )


def bars(phases: list[dict[str, Any]], width: int = WIDTH) -> list[dict[str, Any]]:
    """Each phase as a bar of the timeline: name, duration_s, x and width in pixels. Pure."""
    end_s = max((phase["start_s"] + phase["duration_s"] for phase in phases), default=0.0) or 1.0
    return [
        {
            "name": phase["name"],
            "start_s": phase["start_s"],
            "duration_s": phase["duration_s"],
            "x": round(phase["start_s"] / end_s * width, 1),
            "width": max(1.5, round(phase["duration_s"] / end_s * width, 1)),
        }
        for phase in phases
    ]


def rate(bytes_per_s: float) -> str:
    """A rate for people, in decimal units as disks have them."""
    name, size = next((unit for unit in reversed(UNITS) if bytes_per_s >= unit[1]), UNITS[0])
    return f"{bytes_per_s / size:.1f} {name}"

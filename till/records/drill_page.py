"""The page that a drill leaves for people: what was proven, how long it took, what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from till.paths import CHECKOUT, STATE
from till.records.drill_plot import plot

TEMPLATES = CHECKOUT / "templates"
WIDTH = 720
# Of a result, what only its page needs.
PLOTTED = ("events", "requests")
# Rows of the table of a failover drill: the key, what it is, its unit, the key of its limit.
ROWS = (
    ("detected_s", "A nameserver's answer changed, or the leader's key was released", "s", ""),
    ("dns_switch_s", "The caching resolver's answer held the broken site no more", "s", "dns_switch_max_s"),
    ("promoted_s", "Another database led", "s", ""),
    ("rto_s", "Payments were acknowledged again for good (0: no interruption)", "s", "rto_max_s"),
    ("well_s", "All was well again, the broken hosts included", "s", ""),
    ("acknowledged_payments", "Payments that were acknowledged", "", ""),
    ("failed_requests", "Purchases that were not acknowledged in time", "", ""),
    ("lost_payments", "Acknowledged payments that are missing", "", "lost_max"),
    ("duplicated_payments", "Payments that are there twice", "", "duplicated_max"),
    ("charged_unacknowledged", "Charged though the buyer was not told in time; the order is there", "", ""),
    ("charged_without_order", "Charged, and no order is there", "", ""),
    ("failback_s", "Failing back: from the request until names lead there and something was bought", "s", ""),
)
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
    shared = {
        "stack": stack,
        "result": result,
        "at": datetime.fromtimestamp(result["at"], UTC).isoformat(timespec="seconds"),
    }
    if result["drill"] == "failover":
        return environment.get_template("drill_failover.html.j2").render(**shared, rows=rows(result), plot=plot(result))
    return environment.get_template("drill_restore.html.j2").render(**shared, bars=bars(result["phases"]), width=WIDTH)


def rows(result: dict[str, Any]) -> list[dict[str, str]]:
    """What a failover drill measured, each with what is allowed; "-" where nothing had to move. Pure."""
    limits = result["limits"]
    found = []
    for key, what, unit, limit in ROWS:
        if limit == "rto_max_s" and not result["fast_release"]:
            limit = "rto_on_lease_max_s"
        measured = result.get(key)
        found.append(
            {
                "what": what,
                "measured": "-" if measured is None else f"{measured} {unit}".strip(),
                "allowed": f"{limits[limit]} {unit}".strip() if limit else "",
            }
        )
    return found


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

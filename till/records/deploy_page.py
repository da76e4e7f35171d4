"""The page that a deploy leaves for people: what changed, what each gate said, which version answered, times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from till.paths import CHECKOUT
from till.records import deploy_plot, deploy_record
from till.records.deploy_record import Record
from till.records.deploy_traffic import totals
from till.releases.diff import Difference

TEMPLATES = CHECKOUT / "templates"
# Verdicts in words: the page says nothing by colour alone.
HEADLINES = {
    "pass": ("ok", "Good"),
    "fail": ("failed", "Not good"),
    "insufficient": ("open", "Undecided: too little was seen to say"),
    "unfinished": ("open", "Unfinished: Till was ended, or still works on it"),
}


def write(record: Record, difference: Difference | None = None) -> Path:
    """Render the page of a record beside it; its path. `difference`: the two releases, where both are known."""
    path = deploy_record.path(record.stack, record.name).with_suffix(".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(record, difference))
    return path


def render(record: Record, difference: Difference | None = None) -> str:
    """The page as HTML, self-contained and without scripts; everything in it is escaped. Pure but for its template."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = lambda at_s: clock(record, at_s)
    style, headline = HEADLINES[record.verdict]
    return environment.get_template("deploy.html.j2").render(
        record=record,
        difference=difference,
        style=style,
        headline=headline,
        at=datetime.fromtimestamp(record.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        plots=[("wide", deploy_plot.plot(record)), ("narrow", deploy_plot.plot(record, deploy_plot.NARROW))],
        bars=deploy_plot.bars(record.phases),
        totals=totals(record.traffic),
    )


def clock(record: Record, at_s: float) -> str:
    """The time of day (UTC) of something in a record. Pure."""
    return datetime.fromtimestamp(record.at + at_s, UTC).strftime("%H:%M:%S")

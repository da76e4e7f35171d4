"""The documents of incidents as this host knows them: every host that saw one has it, whoever is gone."""

from __future__ import annotations

from pathlib import Path

from till_host import files
from till_host.notifications import incident_document, spool

TEMPLATE = Path("/usr/local/share/till/incident.md.j2")


def write(stack: str, folder: Path = spool.FOLDER, template: Path = TEMPLATE) -> list[Path]:
    """Write what changed; the paths of what was written. Raises OSError."""
    events = [*spool.events(spool.told(folder)), *spool.events(spool.spool(folder))]
    written = []
    for incident in incident_document.incidents(events):
        path = folder / "incidents" / f"{incident['id']}.md"
        text = incident_document.render(template.read_text(), stack, incident)
        if not path.exists() or path.read_text() != text:
            files.replace(path, text)
            written.append(path)
    return written

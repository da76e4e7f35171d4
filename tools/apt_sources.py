"""The build machine's own apt settings, so that images are made from the mirrors this machine uses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tools.command import output
from tools.pins import pins

APT = Path("/etc/apt")
# What an image needs to reach the same mirrors; nothing else of this machine's apt goes in.
COPIED_OPTIONS = re.compile(r"^Acquire::(https?::Proxy\b|Check-Valid-Until|Check-Date|ForceIPv[46])", re.IGNORECASE)


def sources(files: Iterable[Path] | None = None) -> str:
    """One-line sources of our Debian suite's main component; "" where this machine has none."""
    if files is None:
        files = sorted(
            [*APT.glob("sources.list"), *APT.glob("sources.list.d/*.list"), *APT.glob("sources.list.d/*.sources")]
        )
    rows: list[tuple[str, str]] = []
    for file in files:
        text = file.read_text()
        rows += _deb822(text) if file.suffix == ".sources" else _one_line(text)
    suite = pins()["debian"]["suite"]
    wanted = [(uri, name) for uri, name in rows if name in (suite, f"{suite}-updates", f"{suite}-security")]
    if suite not in [name for _, name in wanted]:
        return ""
    return "".join(f"deb {uri} {name} main\n" for uri, name in dict.fromkeys(wanted))


def options() -> list[str]:
    """Lines of apt.conf that this machine reaches its mirrors with."""
    lines = (output(["apt-config", "dump"]) or "").splitlines()
    return [line for line in lines if COPIED_OPTIONS.match(line) and not line.endswith('"";')]


def _one_line(text: str) -> list[tuple[str, str]]:
    rows = []
    for line in text.splitlines():
        found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
        if found and "main" in found[3].split():
            rows.append((found[1], found[2]))
    return rows


def _deb822(text: str) -> list[tuple[str, str]]:
    rows = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line and not line.startswith("#")]
        fields = {name.lower(): value.split() for name, _, value in (line.partition(":") for line in lines)}
        if (
            "deb" in fields.get("types", [])
            and "main" in fields.get("components", [])
            and fields.get("enabled") != ["no"]
        ):
            rows += [(uri, suite) for uri in fields.get("uris", []) for suite in fields.get("suites", [])]
    return rows

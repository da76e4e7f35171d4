"""Downloads that are checked before anything else sees them."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tools.failure import BadChecksum, Unreachable
from tools.pins import timeout_s


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fetch(url: str, to: Path) -> None:
    """Copy what `url` serves into a file; Unreachable when it does not answer with it in time."""
    try:
        with (
            urllib.request.urlopen(url, timeout=timeout_s("connect")) as response,
            to.open("wb") as handle,
        ):
            shutil.copyfileobj(response, handle, 1 << 20)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise Unreachable(f"{url}: {error}") from error


def verify(path: Path, sha256: str, source: str) -> None:
    """BadChecksum when the file is not the pinned one; the file is removed then."""
    found = sha256_of(path)
    if found != sha256:
        path.unlink()
        raise BadChecksum(
            f"{source}: SHA-256 is {found}, pinned is {sha256}. The file was thrown away.",
            "find out who changed it before you change tools/pins.toml",
        )


def fetch_pinned(pin: Mapping[str, Any], to: Path, log: IO[str]) -> str:
    """Fetch a pin's file from the first of its `urls` that answers, and check it.

    Returns what the check was against: "pinned sha256" or "publisher's checksum list".
    Raises Unreachable when no address answers, BadChecksum when one serves other bytes.
    """
    reasons = []
    for template in pin["urls"]:
        url = template.format(version=pin["version"])
        log.write(f"fetch {url}\n")
        try:
            sha256, verified_by = _checksum(pin, url.rsplit("/", 1)[1], to.with_suffix(".checksums"))
            fetch(url, to)
        except Unreachable as error:
            log.write(f"  {error}\n")
            reasons.append(str(error))
            continue
        verify(to, sha256, url)
        return verified_by
    raise Unreachable("; ".join(reasons))


def _checksum(pin: Mapping[str, Any], file_name: str, scratch: Path) -> tuple[str, str]:
    if "sha256" in pin:
        return str(pin["sha256"]), "pinned sha256"
    for template in pin["checksums_urls"]:
        url = template.format(version=pin["version"])
        fetch(url, scratch)
        for line in scratch.read_text().splitlines():
            digest, _, name = line.partition(" ")
            if name.strip().lstrip("*") == file_name:
                return digest, "publisher's checksum list"
    raise Unreachable(f"no checksum of {file_name} in {pin['checksums_urls']}")

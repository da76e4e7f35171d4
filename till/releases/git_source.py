"""The source of a release: a folder, or one commit of a git repository (GIT-URL@REF, GIT-URL@REF#FOLDER)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from till.environment import environment
from till.errors import TillError, UsageError
from till.progress import Progress
from till.releases.source import Source
from till.releases.toolchain import NETWORK_ENVIRONMENT

FETCH_TIMEOUT_S = 300
LOCAL_TIMEOUT_S = 60
SCHEMES = ("https", "ssh", "file")
FORM = "GIT-URL@REF or GIT-URL@REF#FOLDER, like https://git.example/shop.git@v1.2.0#services/shop"
# scp's form, as git takes it: user@host:path.
SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)")
# Neither an option nor a range, and nothing that git would not have as a name.
REF = re.compile(r"(?!-)(?!.*\.\.)[\w./+-]+")
# Nothing of the user's own may run in, or change, what is checked out.
ISOLATED = ("-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false")


@dataclass(frozen=True)
class Place:
    """One commit's name in a repository, and a folder in it ("" is its top)."""

    url: str
    ref: str
    folder: str


def parse(text: str) -> Place | None:
    """The place that a text names, or None when it names a folder; raises UsageError, without the text's secrets."""
    if "://" not in text and not SCP.match(text):
        return None
    # From here on the text is an address: what stands before its path is never said.
    whole, _, folder = text.partition("#")
    scp = SCP.match(whole)
    cut = scp.end() if scp and "://" not in whole else whole.find("/", whole.find("://") + 3)
    path, at, ref = whole[cut:].rpartition("@") if cut > 0 else ("", "", "")
    url = whole[: len(whole) - len(at) - len(ref)]
    if "://" in whole:
        _refuse_address(whole)
    if not path or not REF.fullmatch(ref):
        raise UsageError("the source's address names no branch, tag or commit", f"give {FORM}")
    if folder and (folder.startswith("/") or ".." in Path(folder).parts):
        raise UsageError(f"{folder!r} is no folder of a repository", f"give {FORM}")
    return Place(url, ref, folder)


def _refuse_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, user, password = parts.hostname or "", parts.username, parts.password
    except ValueError:
        raise UsageError("the source's address is no URL", f"give {FORM}") from None
    if password is not None or (user is not None and parts.scheme != "ssh") or parts.query:
        raise UsageError(
            f"the source's address at {host} holds credentials: they would stand in process lists and logs",
            "take them out of it; let git find them (git help credentials), or use ssh with an agent",
        )
    if parts.scheme not in SCHEMES:
        raise UsageError(f"{parts.scheme}:// is no way to fetch a source", f"use one of {', '.join(SCHEMES)}")
    if host.startswith("-"):
        raise UsageError("the source's address has no host", f"give {FORM}")


@contextmanager
def open_source(text: str, progress: Progress) -> Iterator[Source]:
    """The source that a text names; what git fetched is removed at the end of the block.

    Raises UsageError when there is no such folder, TillError when git can't fetch it.
    """
    place = parse(text)
    if place is None:
        folder = Path(text)
        if not folder.is_dir():
            raise UsageError(f"there is no folder {text}", f"give a folder with an app.yml, or {FORM}")
        yield Source(folder)
        return
    with tempfile.TemporaryDirectory(prefix="till-source-") as temporary:
        clone = Path(temporary) / "clone"
        progress.say(f"git: fetch {place.ref} of {place.url}")
        _git(place, LOCAL_TIMEOUT_S, "init", "--quiet", "--template=", str(clone))
        inside = ("-C", str(clone))
        _git(place, FETCH_TIMEOUT_S, *inside, "fetch", "--quiet", "--depth=1", "--no-tags", "--", place.url, place.ref)
        _git(place, LOCAL_TIMEOUT_S, *inside, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        commit = _git(place, LOCAL_TIMEOUT_S, *inside, "rev-parse", "HEAD").strip()
        folder = (clone / place.folder).resolve()
        # A link in the repository could lead out of it.
        if not folder.is_relative_to(clone.resolve()) or not folder.is_dir():
            raise UsageError(f"{place.url} has no folder {place.folder} at {place.ref}", f"give {FORM}")
        progress.say(f"git: {place.ref} is {commit[:12]}")
        yield Source(folder, place.url, commit)


def _git(place: Place, timeout_s: float, *arguments: str) -> str:
    network = {name: os.environ[name] for name in NETWORK_ENVIRONMENT if name in os.environ}
    following = f"git ls-remote {place.url} {place.ref}"
    # A session of its own has no terminal, so nothing waits for a person's password.
    process = subprocess.Popen(
        ["git", *ISOLATED, *arguments],
        env={**environment(), **network, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ":".join(SCHEMES)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        told, complaint = process.communicate(timeout=timeout_s)
    except BaseException as reason:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if not isinstance(reason, subprocess.TimeoutExpired):
            raise
        raise TillError(f"git took longer than {timeout_s:.0f} s with {place.url}", following) from None
    if process.returncode != 0:
        why = re.sub(r"://[^/@\s]*@", "://", complaint.strip())[-600:]
        raise TillError(f"git can't bring {place.ref} of {place.url}: {why}", following)
    return told

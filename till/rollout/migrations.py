"""Whether a release's migrations leave the one that serves beside it what that one needs. Pure.

Every strategy runs both at once for a while, and the one that serves is what a release that fails is taken back to. So
a release that contracts the database (`migrations: contract`) may only come where a release serves that no longer
needs what is removed. Nothing follows from `expand` of that one: whoever adds a column may read the old one still.
Only the author of the contracting release knows, and says so in its descriptor, which the stack's key signs:
`runs_beside: [VERSION, ...]`. Expand before, move over, contract after (guide, database migrations).
"""

from __future__ import annotations

from collections.abc import Collection

from till.releases.release import Manifest

CONTRACT = "contract"


def refusal(serving: Collection[str | None], new: Manifest) -> str:
    """Why a release can't come beside what hosts serve (None: nothing), as a sentence; empty where it can."""
    broken = sorted(one for one in serving if one and not runs_on(one, new))
    if not broken:
        return ""
    named = f"names {', '.join(new.runs_beside)} only" if new.runs_beside else "names no release"
    return (
        f"{new.version} contracts the database, and {' and '.join(broken)}, which would serve beside it, may need what"
        f" it removes: its runs_beside {named}"
    )


def runs_on(version: str, contracted_by: Manifest) -> bool:
    """Whether a release runs on the database as another one's migrations leave it."""
    return (
        contracted_by.migrations != CONTRACT or version == contracted_by.version or version in contracted_by.runs_beside
    )

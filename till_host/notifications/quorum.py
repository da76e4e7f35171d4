"""Whether a host may go by what it sees: one that is cut off holds everybody else for lost. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Quorum:
    """`cut_since`: since when etcd has not answered this host (s; 0: it does)."""

    cut_since: float = 0.0

    def trusts(self, pending: dict[str, Any], answered: bool, now: float, patience_s: float) -> bool:
        """Whether what is seen counts. `pending`: changes that are on their way, each with since when it was seen.

        Without an answer nothing counts until `patience_s` has passed: then nobody else may be left to tell. With the
        first answer after that, what was seen meanwhile is forgotten and has to hold anew.
        """
        if answered:
            if self.cut_since:
                pending.clear()
            self.cut_since = 0.0
            return True
        self.cut_since = self.cut_since or now
        return now - self.cut_since >= patience_s

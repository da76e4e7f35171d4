"""Values in documents for people, which are Markdown. Pure."""

from __future__ import annotations

import re
from typing import Any

from till.incident_document import PEOPLE


def cell(value: Any) -> Any:
    """One line that ends no cell of a table and is no HTML."""
    if not isinstance(value, str) or value == PEOPLE:
        return value
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(value.split()).replace("|", "\\|"))

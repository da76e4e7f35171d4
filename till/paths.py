"""Where things are on the controller."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = CHECKOUT / ".till"
PLAYBOOKS = CHECKOUT / "playbooks"
VENV_BIN = CHECKOUT / ".venv" / "bin"


def release_dir(stack: str, version: str) -> Path:
    return STATE / "releases" / stack / version


def journal_file(stack: str) -> Path:
    return STATE / "journal" / f"{stack}.jsonl"


def deploys_dir(stack: str) -> Path:
    """Records of deploys and rollbacks, each with its page."""
    return STATE / "deploys" / stack


def signoffs_dir(stack: str) -> Path:
    """Sign-off documents, one for each release."""
    return STATE / "signoffs" / stack


def lock_file(stack: str) -> Path:
    return STATE / "locks" / f"{stack}.json"


def records_lock_file(stack: str) -> Path:
    """Held for the moment in which what hosts did becomes records and journal entries here."""
    return STATE / "locks" / f"{stack}-records"


def log_dir() -> Path:
    """Logs of builds and plays, redacted."""
    folder = STATE / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder

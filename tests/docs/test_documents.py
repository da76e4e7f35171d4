"""What documents name is there: paths of the repository, verbs and options of till, targets of make."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from till.cli.main import app
from till.paths import CHECKOUT

DOCUMENTS = [
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((CHECKOUT / "docs").rglob("*.md")),
]
TOP = {
    name.partition("/")[0]
    for name in subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if "/" in name
}
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
CODE = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```(?!mermaid).*?^```|^(?: {4}|\t)\S[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
TILL: Any = typer.main.get_command(app)
# As a command stands in a line; `make` is a word of sentences too, so it has to begin one.
COMMAND = re.compile(r"(?:(?:^|[;|&(] *)(make)|(?:^|[\s;|&(])(?:\.venv/bin/)?(till)) +([a-z-][^`\n;|&#)]*)")
ARGUMENT = re.compile(r"^[a-z][a-z-]*$")


def paths(document: Path, text: str) -> Iterator[str]:
    """Paths of the repository that a document names, relative to it."""
    for told in [*CODE.findall(text), *(word for block in BLOCK.findall(text) for word in block.split())]:
        for word in told.split():
            path = word.strip("'\"(),;:").removeprefix("./")
            if path.partition("/")[0] in TOP and "/" in path and re.fullmatch(r"[\w./*-]+", path):
                yield path
    for target in LINK.findall(text):
        if "://" not in target:
            yield str((document.parent / target).resolve().relative_to(CHECKOUT))


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Program and words of each command that stands in code."""
    for told in [*CODE.findall(text), *BLOCK.findall(text)]:
        for line in told.splitlines():
            yield from ((match[1] or match[2], match[3].strip()) for match in COMMAND.finditer(line))


def fault(program: str, words: list[str]) -> str:
    """Why a command is none; "" where it is one."""
    if program == "make":
        # In a longer line it is a word of a sentence.
        wrong = [word for word in words[:1] if ARGUMENT.match(word) and word not in TARGETS and len(words) < 3]
        return f"make has no target {wrong[0]}" if wrong else ""
    command = TILL
    rest = [word.strip("[]'\".,") for word in words]
    while (verbs := getattr(command, "commands", {})) and rest and not rest[0].startswith("-"):
        if rest[0] not in verbs:
            return f"till has no verb {rest[0]}" if ARGUMENT.match(rest[0]) else ""
        command = verbs[rest.pop(0)]
    known = {option for one in command.params for option in one.opts} | {"--help"}
    wrong = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{command.name} has no option {wrong[0]}" if wrong else ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_paths_that_a_document_names_are_there(document: Path) -> None:
    named = set(paths(document, document.read_text()))
    assert sorted(path for path in named if not list(CHECKOUT.glob(path.rstrip("/")))) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_commands_that_a_document_names_are_there(document: Path) -> None:
    told = {f"{program} {words}": fault(program, words.split()) for program, words in commands(document.read_text())}
    assert {command: why for command, why in told.items() if why} == {}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("till fly lab", "till has no verb fly"),
        ("till drill swim lab", "till has no verb swim"),
        ("till deploy lab v1.0.0 --quickly", "deploy has no option --quickly"),
        ("make tea", "make has no target tea"),
        ("till drill restore STACK --repository 2", ""),
        ("make test-faults SHARD=2/8", ""),
    ],
)
def test_a_command_that_is_none_is_found(command: str, why: str) -> None:
    found = [fault(program, words.split()) for program, words in commands(f"Run `{command}`.")]
    assert found == [why]


def test_a_path_that_is_not_there_is_found() -> None:
    text = "See `till/gone.py`, [this](docs/nowhere.md) and `till/errors.py`."
    named = list(paths(CHECKOUT / "README.md", text))
    assert named == ["till/gone.py", "till/errors.py", "docs/nowhere.md"]
    assert [path for path in named if not list(CHECKOUT.glob(path))] == ["till/gone.py", "docs/nowhere.md"]


def test_documents_name_paths_and_commands() -> None:
    """A pattern that finds nothing any more would let everything pass."""
    texts = {document: document.read_text() for document in DOCUMENTS}
    assert sum(len(set(paths(document, text))) for document, text in texts.items()) > 100
    assert sum(len(list(commands(text))) for text in texts.values()) > 100

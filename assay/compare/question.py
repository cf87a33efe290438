"""The questions: a folder of ``compare/`` with a ``question.py`` is one. Its constants are read; nothing is run."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from assay.compare.line import Cell, Name, Text, Word
from assay.errors import UsageError
from assay.host import files

FOLDER = "compare"
RUN = "run.py"
BASELINE = "torch"  # the framework that all others are compared with
WRITTEN = "written"  # the last part of the cells that are compared with: the program as a user would write it first
STEPS = {"steps": "a steady step"}

Kind = Literal["facts", "timed"]


@dataclass(frozen=True)
class Question:
    """What is asked: its title, what the source claims, its cells' titles in their order, and who answers.

    ``kind`` is "timed" where a clock or a peak decides: it is then measured in blocks. ``measures`` are the values of
    a timed cell that are compared, by their titles. ``frameworks`` are those that have a file there. ``quiet`` is for
    answers that have seconds among them: nothing else may keep the machine busy then. ``uses`` are the questions
    whose programs this one runs.
    """

    name: str
    title: str
    claim: str
    kind: Kind
    cells: Mapping[str, str] = field(hash=False)
    measures: Mapping[str, str] = field(hash=False)
    frameworks: tuple[str, ...]
    quiet: bool = False
    uses: tuple[str, ...] = ()

    def baseline(self, cell: str) -> str:
        """The cell of PyTorch that a cell is compared with: as written, where it was written in several ways."""
        written = f"{cell.rpartition('/')[0]}/{WRITTEN}"
        return written if written in self.cells else cell


class _Constants(msgspec.Struct, frozen=True):
    """What a ``question.py`` says of itself."""

    title: Word
    claim: Text
    kind: Kind
    cells: dict[Cell, Word]
    measures: dict[Name, Word] = {}
    quiet: bool = False
    uses: tuple[Name, ...] = ()


def questions(root: Path) -> dict[str, Question]:
    """The questions of a checkout by name. Raises `UsageError` for one that is malformed."""
    frameworks = {path.stem for path in (root / "smoke/frameworks").glob("[a-z]*.py")}
    paths = sorted((root / FOLDER).glob("*/question.py"))
    return {path.parent.name: _read(path, frameworks) for path in paths}


def program(root: Path, question: Question, framework: str) -> str:
    """SHA-256 over the files that answer a question for a framework: name, length and content of each.

    These are the files at the top of ``compare/``, and those of the question's folder but the ones of other
    frameworks: ``<framework>.py`` and what is named after it (``<framework>.cpp``, ``<framework>_tree.py``). The
    questions whose programs it runs have theirs there, too.
    """
    top = root / FOLDER
    folders = [top / name for name in (question.name, *question.uses)]
    inside = [path for folder in folders for path in files.below(folder).values()]
    there = [path for path in (*top.iterdir(), *inside) if path.is_file()]
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(top).as_posix(), path) for path in there):
        owner = _owner(path, question.frameworks)
        if owner in {None, framework}:
            content = path.read_bytes()
            digest.update(name.encode() + b"\0%d\0" % len(content) + content)
    return digest.hexdigest()


def _owner(path: Path, frameworks: tuple[str, ...]) -> str | None:
    """The framework that a file is named after; None for what serves all."""
    named = [one for one in frameworks if path.name == one or path.name.startswith((f"{one}.", f"{one}_"))]
    return max(named, key=len, default=None)


def _read(path: Path, known: Collection[str]) -> Question:
    name = path.parent.name
    shown = f"{FOLDER}/{name}/{path.name}"
    todo = "Write TITLE, CLAIM, KIND and CELLS there, as literals: docs/compare.md says what each is."
    try:
        found = msgspec.convert(_literals(path), type=_Constants)
    except (msgspec.ValidationError, SyntaxError, ValueError) as error:
        raise UsageError(f"{shown} is malformed: {error}", todo) from None
    if not found.cells:
        raise UsageError(f"{shown} has no cells", todo)
    frameworks = tuple(sorted(file.stem for file in path.parent.glob("*.py") if file.stem in known))
    measures = (found.measures or STEPS) if found.kind == "timed" else {}
    quiet = found.quiet or found.kind == "timed"
    return Question(
        name, found.title, found.claim, found.kind, found.cells, measures, frameworks, quiet, uses=found.uses
    )


def _literals(path: Path) -> dict[str, Any]:
    """The constants that a question is read from, by their names in small letters."""
    wanted = {name.upper() for name in _Constants.__struct_fields__}
    found: dict[str, Any] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value is not None and target.id in wanted:
            found[target.id.lower()] = ast.literal_eval(value)
    return found

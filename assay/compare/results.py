"""The results that are kept: ``compare/results/<question>.jsonl``, a line for each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.compare.line import Line, encode, parse
from assay.errors import UsageError, VerificationFailed
from assay.host import files, paths

FOLDER = "compare/results"
LARGEST = 2**28  # bytes of one file


@dataclass(frozen=True)
class Entry:
    """A line and where it stands: the file's name, and its number there, from 1."""

    line: Line
    file: str
    number: int


@dataclass(frozen=True)
class Unread:
    """A line that cannot be read, and why."""

    file: str
    number: int
    what: str


@dataclass(frozen=True)
class Results:
    """All that is kept in a folder, in the order of its files."""

    entries: tuple[Entry, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that can be read."""
        return tuple(entry.line for entry in self.entries)


def read(folder: Path) -> Results:
    """Read the results of a folder; none yet are empty ones. What cannot be read is named in `Results.unread`.

    Raises `UsageError` for a file that is too large to be one of ours.
    """
    entries: list[Entry] = []
    unread: list[Unread] = []
    for path in sorted(folder.glob("*.jsonl")):
        if path.stat().st_size > LARGEST:
            raise UsageError(
                f"{path} is larger than {LARGEST >> 20} MiB", "Move it away: no measurement is so large."
            )
        for number, data in enumerate(path.read_bytes().split(b"\n"), 1):
            if data.strip():
                try:
                    entries.append(Entry(_of(path, parse(data)), path.name, number))
                except VerificationFailed as error:
                    unread.append(Unread(path.name, number, error.what))
    return Results(tuple(entries), tuple(unread))


def put(folder: Path, question: str, new: Iterable[Line], replaced: Callable[[Line], bool]) -> None:
    """Append lines to the results of a question, and drop those that they take the place of.

    The file is written whole or not at all, and no other command writes it meanwhile. Raises `UsageError` where it
    has a line that cannot be read: it would be lost.
    """
    path = folder / f"{question}.jsonl"
    with files.alone(paths.cache() / "compare", "another `assay compare` to write", files.silent):
        found = Results() if not path.exists() else _one(path)
        kept = [entry.line for entry in found.entries if not replaced(entry.line)]
        files.replace(path, b"".join(map(encode, (*kept, *new))))


def _one(path: Path) -> Results:
    found = read(path.parent)
    for bad in found.unread:
        if bad.file == path.name:
            raise UsageError(
                f"{path.name}, line {bad.number}: {bad.what}", "Remove that line: what it said is measured again."
            )
    return Results(tuple(entry for entry in found.entries if entry.file == path.name))


def _of(path: Path, line: Line) -> Line:
    if line.question != path.stem:
        raise VerificationFailed(f"the line is of the question {line.question}", "Move it to the file of that name.")
    return line

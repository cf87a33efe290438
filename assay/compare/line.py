"""One line of a measurement: what a program in an image answered for one cell, and what the host adds to it.

A program prints a line of JSON for each cell (`Told`). The host adds which image that was, on which machine and when
(`Line`), and keeps the line in ``compare/results/<question>.jsonl``.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from assay.errors import VerificationFailed
from assay.host import strict

SET = r"[a-z0-9][a-z0-9-]{0,39}"  # the name of a set
LONGEST_WHY = 200  # characters of what is wrong with a line
LONGEST_TEXT = 20_000  # characters of a traceback or of an output

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}\Z")]
Cell = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,79}\Z")]
SetName = Annotated[str, msgspec.Meta(pattern=rf"^{SET}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Time = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)\Z")]

Single = bool | int | float | Text | None
Value = Single | list[Single]
Outcome = Literal["done", "cannot", "failed"]
Device = Literal["cpu", "gpu"]
# What a process is there for: to be compared; to be PyTorch once more; to be PyTorch with each step made slower.
Role = Literal["compared", "control", "slowed"]


T = TypeVar("T", bound="Told")


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a program says of one cell. ``seconds`` is the wall time of the cell.

    ``because`` says why it cannot be done, or what failed. ``text`` is what a reader is shown: the end of a
    traceback, an output. ``lines`` counts the lines of working code of the program.
    """

    schema: Literal[1] = 1
    question: Name
    framework: Name
    cell: Cell
    outcome: Outcome
    because: Text | None = None
    values: Annotated[dict[Word, Value], msgspec.Meta(max_length=256)] = {}
    text: Text | None = None
    lines: Count | None = None
    seconds: Seconds

    def __post_init__(self) -> None:
        if (self.outcome == "done") == bool(self.because):
            raise ValueError("`because` says why a cell is not done, and only that")


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine that measured: its processor by name, the processors it has, its memory in bytes, its kernel."""

    cpu: Word
    cores: Count
    memory_bytes: Count
    kernel: Word


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the container might use: the processors as ``--cpuset-cpus`` names them, and bytes of memory."""

    cpus: Word
    memory_bytes: Count


class Line(Told, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line that is kept: what was told, of which image, how it was run, and when.

    ``digest`` is the image's manifest digest, ``layers`` are the DiffIDs of its environment, without the layer of the
    suite. ``program`` is the digest of the files that answered (`assay.compare.question.program`). ``set`` is the
    measurement that it belongs to, ``block`` the block in that, ``place`` its place in the block's order; a question
    that no clock decides has no blocks. ``load`` are the processors that others kept busy just before.
    """

    image: Word
    name: Word
    digest: Digest
    layers: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=1024)]
    device: Device
    program: Hex
    set: SetName
    block: Count | None
    place: Count
    role: Role = "compared"
    threads: Count
    limits: Limits
    machine: Machine
    load: Seconds
    started: Time


def parse_told(data: bytes) -> Told:
    """Read a line of a program. Raises `VerificationFailed` for what is malformed."""
    return _parsed(data, Told)


def parse(data: bytes) -> Line:
    """Read a line that is kept. Raises `VerificationFailed` for what is malformed, such as a line that is cut off."""
    return _parsed(data, Line)


def _parsed(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.convert(strict.parsed(data), type=kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise VerificationFailed(
            f"the line is malformed: {str(error)[:LONGEST_WHY]}", "Measure it again: --again."
        ) from None


def encode(line: Line) -> bytes:
    """Return a line as it is kept, with its line end."""
    return msgspec.json.encode(line) + b"\n"
